//! Any bytes, any order: fuzz bodies over seeds, and generated files.

use super::calls::{REAL, asterisk};
use super::events::EVENT;
use super::switches as seeds;
use super::*;
use proptest::prelude::*;

/// Seeds for each target, and deterministic mutations of them for about a second each.
fn mutate(target: fn(&[u8]), seeds: &[&[u8]]) {
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n.max(1)
    };
    let begun = std::time::Instant::now();
    let (rounds, limit_ms) =
        if std::env::var_os("FAREBOX_FUZZ_LONG").is_some() { (usize::MAX, 40_000) } else { (4000, 1500) };
    for round in 0..rounds {
        let mut data = seeds[round % seeds.len()].to_vec();
        for _ in 0..random(6) {
            let (at, other) = (random(data.len()), random(data.len()));
            const BYTES: &[u8] = b"\"\"\"\n\n\r,,{}[]\\ \0\xff019.-:eT";
            match random(5) {
                0 if !data.is_empty() => data[at] = BYTES[random(BYTES.len())],
                1 => data.insert(at, BYTES[random(BYTES.len())]),
                2 => drop(data.drain(at.min(other)..at.max(other).min(at.min(other) + 40))),
                3 => data.truncate(at.max(1)),
                _ => {
                    let piece = data[at.min(other)..at.max(other)].to_vec();
                    data.splice(at..at, piece);
                }
            }
        }
        target(&data);
        if round >= seeds.len() && begun.elapsed().as_millis() > limit_ms {
            break;
        }
    }
}

#[test]
fn fuzz_asterisk() {
    let mut made = Vec::new();
    generate::asterisk(12, 3, &mut made).unwrap();
    mutate(fuzz::asterisk, &[b"", &REAL[..2500], &made, b"\"a\nb\",\"c\n"]);
}

#[test]
fn fuzz_cloudevents() {
    let event = format!("{EVENT},\"data\":{{\"seconds\":61.50,\"x\":[1,{{\"y\":null}}]}}}}");
    let other = event.replace("e1", "e2");
    let lines = format!("{event}\n{other}\n");
    let array = format!("[{event},\n{other}]");
    mutate(fuzz::cloudevents, &[b"", lines.as_bytes(), array.as_bytes(), b"[{", b"{\n"]);
}

#[test]
fn fuzz_access_log() {
    let line = "1.2.3.4 - acme [10/Oct/2026:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 2326 \"-\" \"curl/8\"\n";
    mutate(fuzz::access_log, &[b"", line.repeat(3).as_bytes(), b"1 - - [] \"\" 1 -\n"]);
}

#[test]
fn fuzz_csv() {
    let file =
        "id,time,account,seconds\n1,2026-01-05T12:00:00Z,acme,61.50\n2,2026-01-05T12:00:00Z,\"a\nb\",1\n";
    mutate(fuzz::csv, &[b"", file.as_bytes(), b"time,account\n2026-01-05T12:00:00Z,a\n"]);
}

#[test]
fn fuzz_freeswitch_csv() {
    let two = seeds::EXAMPLE.to_owned() + seeds::BUILT_IN;
    mutate(fuzz::freeswitch_csv, &[b"", two.as_bytes(), b"\"a\",, \"\n"]);
}

#[test]
fn fuzz_freeswitch_json() {
    let array = format!("[{},{}]", seeds::ENCODED, seeds::PLAIN);
    mutate(fuzz::freeswitch_json, &[b"", seeds::ENCODED.as_bytes(), array.as_bytes()]);
}

#[test]
fn fuzz_kamailio() {
    mutate(fuzz::kamailio, &[b"", seeds::ACC.as_bytes(), seeds::CDR.as_bytes(), b"ACC: a: =;;b"]);
}

#[test]
fn fuzz_amazon_connect() {
    let two = seeds::CONTACT.to_owned() + seeds::CONTACT;
    mutate(fuzz::amazon_connect, &[b"", seeds::CONTACT.as_bytes(), two.as_bytes()]);
}

#[test]
fn fuzz_twilio() {
    let page = format!("{{\"page\":0,\"calls\":[{0},{0}],\"next\":null}}\n", seeds::RESOURCE);
    let pages = page.clone() + &page;
    let line = seeds::RESOURCE.to_owned() + "\n";
    mutate(fuzz::twilio, &[b"", line.as_bytes(), page.as_bytes(), pages.as_bytes(), b"{\"calls\":["]);
}

#[test]
fn generated_files_are_as_said() {
    let mut file = Vec::new();
    generate::asterisk(20_000, 7, &mut file).unwrap();
    let bytes_per_row = file.len() / 20_000;
    assert!((260..310).contains(&bytes_per_row), "{bytes_per_row}");
    let mut sinks = [Notes::default(), Notes::default()];
    let summary =
        Importer::new(2).import(&asterisk("=> account=a"), Input::bytes(&file), &mut sinks, &|_| {}).unwrap();
    assert_eq!((summary.rows, summary.quarantined), (20_000, 0));
    assert!(summary.duplicates > 10 && (9_000..11_000).contains(&summary.calls), "{summary:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The order of rows, repeats, cuts and threads change nothing that is billed.
    #[test]
    fn order_repeats_cuts_and_threads_change_nothing(
        seed in any::<u64>(), rows in 1u64..60, threads in 1usize..4, chunk in 1usize..3000,
        order in any::<u64>(), cut in 0usize..60,
    ) {
        let mut file = Vec::new();
        generate::asterisk(rows, seed, &mut file).unwrap();
        let mut lines: Vec<&[u8]> = file.split_inclusive(|&b| b == b'\n').collect();
        let spec = asterisk("dcontext=*-pstn => account=a; => account=b");
        let bills = |text: String| {
            // Adds and removals cancel, wherever the lead row stood.
            let mut sum = std::collections::BTreeMap::new();
            for line in text.lines().filter(|line| !line.starts_with('=')) {
                let line = line.split(" @").next().unwrap_or_default();
                *sum.entry(line[2..].to_owned()).or_insert(0) += if line.starts_with('+') { 1 } else { -1 };
            }
            sum.retain(|_, count| *count != 0);
            sum
        };
        let plain = run(&[(&spec, &file)], 1, 1 << 20).unwrap();
        let pieces = run(&[(&spec, &file)], threads, chunk).unwrap();
        prop_assert_eq!(&plain, &pieces);
        lines.sort_by_key(|line| xxhash_rust::xxh3::xxh3_64_with_seed(line, order));
        let cut = cut.min(lines.len());
        let (first, second) = (lines[..cut].concat(), lines[cut.saturating_sub(3)..].concat());
        let shuffled = run(&[(&spec, &first), (&spec, &second)], threads, chunk).unwrap();
        prop_assert_eq!(bills(plain), bills(shuffled));
    }
}
