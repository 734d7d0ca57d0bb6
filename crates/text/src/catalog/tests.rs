//! Every kind of mistake, as a text that says it: `mistakes.txt`.
//!
//! A case there is a title, a piece of a catalogue, and what is said about it. What the piece
//! lacks is added behind it, so that lines and columns are those of the piece. After a change of
//! a message, `UPDATE=1 cargo test -p farebox-text catalog` writes the file anew: read the diff.

use super::{fuzz, hash, parse};

const CASES: &str = include_str!("mistakes.txt");

/// Parts that a piece needs to be a catalogue, each by the words that show it is there.
const REST: &[(&str, &str)] = &[
    (
        "[catalogue]",
        "[catalogue]\nid = \"t\"\nversion = \"1\"\ntitle = \"T\"\nzone = \"UTC\"\ncurrency = \"EUR\"\n",
    ),
    ("[products.p]", "[products.p]\ntitle = \"P\"\n"),
    ("[products.p.plans.a]", "[products.p.plans.a]\ntitle = \"A\"\nmodes = [\"pay-per-use\"]\n"),
];

fn complete(piece: &str) -> String {
    let mut text = format!("{piece}\n");
    if !piece.contains("products = ") && !piece.contains("[products]") {
        for (sign, rest) in REST {
            if !piece.contains(sign) {
                text += rest;
            }
        }
    } else if !piece.contains("[catalogue]") {
        text += REST[0].1;
    }
    text
}

/// Title and piece of each case.
fn cases() -> impl Iterator<Item = (&'static str, String)> {
    CASES.split("\n## ").skip(1).map(|case| {
        let (title, rest) = case.split_once('\n').unwrap();
        let piece: Vec<&str> = rest.lines().filter(|line| !line.starts_with("-> ")).collect();
        (title, piece.join("\n").trim_end().to_owned())
    })
}

/// What is said about a catalogue, without the file's name.
fn check(text: &[u8]) -> String {
    match parse("t", text) {
        Ok(_) => "no mistake\n".into(),
        Err(mistakes) => mistakes
            .iter()
            .map(|mistake| format!("{}\n", mistake.to_string().trim_start_matches("t:").trim_start()))
            .collect(),
    }
}

#[test]
fn every_mistake_is_explained_in_its_place() {
    let mut actual = CASES.split("\n## ").next().unwrap().to_owned();
    for (title, piece) in cases() {
        actual += &format!("\n## {title}\n{piece}\n");
        for line in check(complete(&piece).as_bytes()).lines() {
            actual += &format!("-> {line}\n");
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/mistakes.txt"), &actual).unwrap();
    }
    if actual != CASES {
        for (line, (is, was)) in actual.lines().zip(CASES.lines()).enumerate() {
            assert_eq!(is, was, "mistakes.txt, line {}", line + 1);
        }
        panic!("mistakes.txt has another number of lines");
    }
}

#[test]
fn whatever_the_bytes_there_is_an_answer() {
    let good = complete("");
    assert_eq!(check(good.as_bytes()), "no mistake\n");
    assert_eq!(check(format!("\u{feff}{good}").as_bytes()), "no mistake\n");
    assert_eq!(check(good.replace('\n', "\r\n").as_bytes()), "no mistake\n");
    assert_eq!(
        check(b"[catalogue]\nid = \"caf\xe9\"\n"),
        "2:10: the byte 0xE9 is not UTF-8; expected a file saved as UTF-8\n"
    );
    assert_eq!(check(b"\xff\xfe[\0c\0"), "1:1: the byte 0xFF is not UTF-8; expected a file saved as UTF-8\n");
    assert_eq!(check(b"[catalogue]\n\0"), "2:1: the control character U+0000; expected readable text\n");
    assert!(check(&vec![b' '; super::MAX_BYTES + 1]).contains("at most 16777216 bytes"));
    for unit in ["[", "{", "a=[", "a={b=", "[[", "a.", "\"", "'''", "[a]\n", "é", "\r", "#"] {
        let text = unit.repeat((1 << 20) / unit.len());
        let mistakes = parse("t", text.as_bytes()).unwrap_err();
        assert!(mistakes.len() <= 201, "{unit}: {} mistakes", mistakes.len());
    }
}

#[test]
fn a_great_many_mistakes_are_counted() {
    let text: String = (0..300).map(|i| format!("k{i} = 1\n")).collect();
    let said = check((text + &complete("")).as_bytes());
    assert_eq!(said.lines().count(), 201);
    assert!(said.ends_with("100 more mistakes, not shown\n"), "{said}");
}

#[test]
fn deep_and_wide_containment_ends() {
    let mut text = complete("");
    for i in 0..5_000 {
        text += &format!(
            "[products.p.plans.a{i}]\ntitle = \"A\"\nmodes = [\"pay-per-use\"]\ncontains = [\"a{}\"]\n",
            i + 1
        );
    }
    text += "[products.p.plans.a5000]\ntitle = \"A\"\nmodes = [\"pay-per-use\"]\n";
    assert_eq!(check(text.as_bytes()), "no mistake\n");
}

#[test]
fn the_hash_ignores_line_endings_and_nothing_else() {
    assert_eq!(hash(b"a\nb\n"), hash(b"\xef\xbb\xbfa\r\nb\r\n"));
    assert_eq!(hash(b"a\nb\n"), hash(b"a\rb\r"));
    assert_ne!(hash(b"a\nb\n"), hash(b"a\nb"));
    assert_ne!(hash(b"a\nb"), hash(b"a\n\nb"));
    // Stored with bills: never to change.
    assert_eq!(hash(b""), "99aa06d3014798d8");
    assert_eq!(hash(b"farebox\n").len(), 16);
}

/// Random numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
}

/// Cuts, copies, swaps and replaces pieces of good and bad files.
#[test]
fn mutated_files_never_panic() {
    const PIECES: &[&str] = &[
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "\r\n",
        ",",
        ".",
        "-1",
        "0",
        "1e30",
        "0.1",
        "nan",
        "9999-12-31",
        "999999999999999999999999999999",
        "\"\"",
        "é",
        "\u{0}",
        "[[",
        "true",
        "\"0.00000000001\"",
        "'''",
        "price",
        "contains = [\"a\"]",
        "up-to = 1",
        "\u{feff}",
        "\"..\"",
        "\"5..1\"",
        "\"24:00-00:00\"",
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogs");
    let mut corpus: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    corpus.sort();
    corpus.push(CASES.into());
    corpus.extend(cases().map(|(_, piece)| complete(&piece).into_bytes()));
    // A random line of a random file.
    let line = |random: &mut Random, corpus: &[Vec<u8>]| {
        let text = &corpus[random.below(corpus.len())];
        let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
        lines[random.below(lines.len())].to_vec()
    };
    let mut random = Random(0x5EED_FA2E_B0C5_0001);
    for _ in 0..4_000 {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(3) {
            let (a, b) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 200));
            match random.below(16) {
                0 => drop(bytes.drain(from..to)),
                1 => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(b..b, piece);
                }
                2 => drop(bytes.splice(from..from, PIECES[random.below(PIECES.len())].bytes())),
                3 => drop(bytes.splice(from..to, PIECES[random.below(PIECES.len())].bytes())),
                4 => drop(bytes.splice(a..a, line(&mut random, &corpus))),
                // A line for another, or none: often still TOML, and seldom a catalogue.
                kind @ 5..=14 => {
                    let start = bytes[..a].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                    let end = bytes[a..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| a + at);
                    let other = if kind < 11 { line(&mut random, &corpus) } else { Vec::new() };
                    bytes.splice(start..end, other);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(from) {
                        *byte = u8::try_from(random.below(256)).unwrap();
                    }
                }
            }
        }
        fuzz::catalogue(&bytes);
    }
}
