//! Whole files through the importer: text in, text out.

mod calls;
mod events;
mod meet;
mod random;
mod switches;
mod tables;

use super::*;
use crate::diagnostic::Diagnostic;
use farebox_core::calendar::Zone;
use farebox_core::metering::Value;

/// Writes down every event that it is given; `refuse` names accounts that it does not know.
#[derive(Default)]
struct Notes(Vec<String>);

impl Sink for Notes {
    fn usage(&mut self, event: &Event<'_>, change: Change, origin: Origin) -> Verdict {
        match event.account {
            "free" => return Verdict::NotBillable,
            "stranger" => return Verdict::Quarantine(Reason::new("unknown-account", "no such account")),
            _ => {}
        }
        let sign = if change == Change::Add { '+' } else { '-' };
        let mut text = format!("{sign} {} {} {}", event.source, event.id, event.account);
        if event.revision > 0 {
            text += &format!(" r{}", event.revision);
        }
        text += &format!(" {} {}", event.kind, event.time);
        if let Some(start) = event.start {
            text += &format!(" from {start}");
        }
        for (name, value) in &event.attributes {
            match value {
                Value::Text(value) => text += &format!(" {name}=\"{value}\""),
                Value::Number(value) => text += &format!(" {name}={value}"),
            }
        }
        if change == Change::Add {
            text += &format!(" @{}:{}", origin.file, origin.line);
        }
        self.0.push(text);
        Verdict::Counted
    }
}

fn told(summary: &Summary) -> String {
    assert_eq!(summary.rows, summary.accounted(), "{summary:?}");
    let mut text = format!("= rows {}", summary.rows);
    for (name, count) in [
        ("counted", summary.counted),
        ("duplicates", summary.duplicates),
        ("not-billable", summary.not_billable),
        ("ignored", summary.ignored),
        ("quarantined", summary.quarantined),
        ("events", summary.events),
        ("revised", summary.revised),
        ("calls", summary.calls),
        ("connected", summary.connected),
        ("seconds", summary.seconds),
    ] {
        if count > 0 {
            text += &format!(" {name} {count}");
        }
    }
    for row in &summary.listed {
        text += &format!("\n! {}: {}: {}", row.line, row.reason.code, row.reason.sentence);
    }
    text
}

/// Imports the files one after another: events in alphabetical order after each, and the summary.
fn run(files: &[(&ImportSpec, &[u8])], threads: usize, chunk_bytes: usize) -> Result<String, Diagnostic> {
    let mut importer = Importer::new(threads);
    let mut sinks: Vec<Notes> = (0..threads).map(|_| Notes::default()).collect();
    let mut text = String::new();
    for (spec, bytes) in files {
        let spec = ImportSpec { chunk_bytes, ..(*spec).clone() };
        let summary = importer.import(&spec, Input::bytes(bytes), &mut sinks, &|_| {})?;
        let mut events: Vec<String> = sinks.iter_mut().flat_map(|sink| std::mem::take(&mut sink.0)).collect();
        events.sort();
        for event in events {
            text += &event;
            text.push('\n');
        }
        text += &told(&summary);
        text.push('\n');
    }
    Ok(text)
}

#[track_caller]
fn check_files(files: &[(&ImportSpec, &[u8])], expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    for (threads, chunk_bytes) in [(1, 1 << 20), (1, 7), (2, 64), (3, 1000)] {
        let got = run(files, threads, chunk_bytes).unwrap_or_else(|wrong| wrong.to_string());
        assert_eq!(
            got.trim().lines().collect::<Vec<_>>(),
            expected,
            "{threads} threads, {chunk_bytes} bytes"
        );
    }
}

#[track_caller]
fn check(spec: &ImportSpec, file: &str, expected: &str) {
    check_files(&[(spec, file.as_bytes())], expected);
}

fn spec(preset: Preset) -> ImportSpec {
    let zone = matches!(preset, Preset::Asterisk | Preset::FreeSwitchCsv).then(Zone::utc);
    ImportSpec { zone, rules_file: "import.rules".into(), ..ImportSpec::new(preset, "usage") }
}

/// `dcontext=acme-* account=acme number={dst}` or `… ignore`; `;` between rules.
fn rules(text: &str) -> Vec<MapRule> {
    let rule = |(line, text): (usize, &str)| {
        let (when, then) = text.split_once("=>").unwrap();
        let pairs = |text: &str| -> Vec<(String, String)> {
            text.split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let when = pairs(when).into_iter().map(|(field, p)| Condition { field, pattern: Pattern::parse(&p) });
        let outcome = if then.trim() == "ignore" {
            Outcome::Ignore
        } else {
            Outcome::Set(pairs(then).into_iter().map(|(n, t)| (n, Template::parse(&t).unwrap())).collect())
        };
        MapRule { line: line + 1, when: when.collect(), outcome }
    };
    text.split(';').enumerate().map(rule).collect()
}

use calls::{REAL, asterisk};
use events::EVENT;

#[test]
fn presets_are_in_order_and_known_to_the_book() {
    let names = Preset::ALL.map(Preset::name);
    assert!(names.is_sorted());
    assert_eq!(names, crate::book::PRESETS);
    assert!(names.into_iter().all(|name| Preset::parse(name).is_ok()));
}

#[test]
fn empty_files_hold_nothing() {
    for preset in Preset::ALL {
        let spec = ImportSpec { rules: rules("=> account=a"), ..spec(preset) };
        for file in ["", "\u{feff}", "\n", "\r\n\r\n"] {
            if preset == Preset::Csv && !file.trim_matches('\u{feff}').is_empty() {
                continue;
            }
            check(&spec, file, "= rows 0");
        }
    }
}

#[test]
fn lines_of_the_book_meet_those_of_files() {
    let spec = spec(Preset::CloudEvents);
    let mut importer = Importer::new(2);
    let mut sinks = [Notes::default(), Notes::default()];
    importer.watch("pbx", "e1");
    let time = "2026-01-05T12:00:00Z".parse().unwrap();
    let event = |revision, seconds| Event {
        source: "pbx",
        id: "e1",
        revision,
        kind: "call",
        account: "acme",
        time,
        start: None,
        attributes: vec![("seconds", Value::Number(farebox_core::money::Exact::whole(seconds)))],
    };
    assert_eq!(importer.insert(&event(0, 1), 3, &mut sinks), EventOutcome::Counted);
    assert_eq!(importer.insert(&event(0, 1), 4, &mut sinks), EventOutcome::Duplicate);
    assert!(
        matches!(importer.insert(&event(0, 2), 5, &mut sinks), EventOutcome::Quarantined(r) if r.code == "conflict")
    );
    assert_eq!(importer.watched("pbx", "e1").unwrap().origin.line, 3);
    let file = format!("{EVENT},\"revision\":1}}\n");
    let summary = importer.import(&spec, Input::bytes(file), &mut sinks, &|_| {}).unwrap();
    assert_eq!(told(&summary), "= rows 1 counted 1 events 1 revised 1");
    assert_eq!(importer.insert(&event(2, 9), 9, &mut sinks), EventOutcome::Counted);
    assert_eq!(importer.watched("pbx", "e1").unwrap().event(), event(2, 9));
    let events: Vec<String> = sinks.into_iter().flat_map(|sink| sink.0).collect();
    assert_eq!(
        events,
        [
            "+ pbx e1 acme call 2026-01-05T12:00:00Z seconds=1 @0:3",
            "- pbx e1 acme call 2026-01-05T12:00:00Z seconds=1",
            "+ pbx e1 acme r1 call 2026-01-05T12:00:00.5Z @1:1",
            "- pbx e1 acme r1 call 2026-01-05T12:00:00.5Z",
            "+ pbx e1 acme r2 call 2026-01-05T12:00:00Z seconds=9 @0:9",
        ]
    );
}

#[test]
fn a_watched_call_is_kept_as_it_counts() {
    let mut importer = Importer::new(2);
    importer.watch("asterisk", "1706412893.79");
    let spec = asterisk("=> account=acme");
    importer.import(&spec, Input::bytes(REAL), &mut [Notes::default(), Notes::default()], &|_| {}).unwrap();
    let kept = importer.watched("asterisk", "1706412893.79").unwrap();
    assert_eq!(
        kept.attributes[0],
        ("seconds".into(), OwnedValue::Number(farebox_core::money::Exact::whole(79)))
    );
    assert_eq!(importer.kept().count(), 1);
}

#[test]
fn a_panic_of_a_sink_reaches_the_caller() {
    struct Bomb;
    impl Sink for Bomb {
        fn usage(&mut self, _: &Event<'_>, _: Change, _: Origin) -> Verdict {
            panic!("as asked")
        }
    }
    let file = (0..100).map(|i| EVENT.replace("e1", &i.to_string()) + "}\n").collect::<String>();
    let spec = ImportSpec { chunk_bytes: 100, ..spec(Preset::CloudEvents) };
    let run = std::panic::AssertUnwindSafe(|| {
        Importer::new(3).import(&spec, Input::bytes(&file), &mut [Bomb, Bomb, Bomb], &|_| {})
    });
    assert!(std::panic::catch_unwind(run).is_err());
}

#[test]
fn a_missing_file_is_a_diagnostic() {
    let input = Input::File("/nowhere/Master.csv".into());
    let got = Importer::new(1).import(&asterisk(""), input, &mut [Notes::default()], &|_| {}).unwrap_err();
    assert!(got.to_string().starts_with("usage: it cannot be read:"), "{got}");
}
