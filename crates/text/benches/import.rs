//! How fast usage files are read, with a sink that only adds up.
//!
//! ```text
//! cargo bench -p farebox-text --bench import -- generate 5000000 /tmp/Master.csv
//! cargo bench -p farebox-text --bench import -- read /tmp/Master.csv [THREADS [RUNS [PRESET]]]
//! ```
//!
//! `ATTRIBUTES=dcontext,src` keeps those columns of each call's lead row.
//! Without arguments: 20,000 rows from memory, as a check that the bench still runs.

use farebox_core::calendar::Zone;
use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;
use farebox_text::import::{
    Attributes, Change, Condition, ImportSpec, Importer, Input, MapRule, Origin, Outcome, Pattern, Preset,
    Sink, Template, Verdict, generate,
};
use std::io::{BufWriter, Write};
use std::time::Instant;

/// Minutes of connected calls, each rounded up (R-TCCC-8), over all accounts.
#[derive(Default)]
struct Minutes(i128);

impl Sink for Minutes {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        let seconds = event.attributes.iter().find(|(name, _)| *name == "seconds");
        if let Some((_, Value::Number(seconds))) = seconds {
            let minutes = (seconds.numerator() + 59).div_euclid(60);
            debug_assert!(*seconds == Exact::whole(seconds.numerator()));
            self.0 += if change == Change::Add { minutes } else { -minutes };
        }
        Verdict::Counted
    }
}

fn spec() -> ImportSpec {
    // `src` is another number for almost every call: the worst case for memory.
    let wanted = std::env::var("ATTRIBUTES").unwrap_or("dcontext".into());
    let attributes = wanted.split(',').map(String::from).collect();
    let rules = generate::CONTEXTS.iter().map(|context| MapRule {
        line: 1,
        when: vec![Condition { field: "dcontext".into(), pattern: Pattern::parse(context) }],
        outcome: Outcome::Set(vec![(
            "account".into(),
            Template::parse(context.split('-').next().unwrap_or(context)).expect("a plain text"),
        )]),
    });
    ImportSpec {
        zone: Some(Zone::utc()),
        rules: rules.collect(),
        attributes: Attributes::Only(attributes),
        ..ImportSpec::new(Preset::Asterisk, "Master.csv")
    }
}

fn read(spec: &ImportSpec, input: &Input, threads: usize) {
    let begun = Instant::now();
    let mut importer = Importer::new(threads);
    let mut sinks: Vec<Minutes> = (0..importer.threads()).map(|_| Minutes::default()).collect();
    let summary = importer.import(spec, input.clone(), &mut sinks, &|_| {}).expect("the file is read");
    let seconds = begun.elapsed().as_secs_f64();
    let minutes: i128 = sinks.iter().map(|sink| sink.0).sum();
    println!(
        "{seconds:.3} s, {:.2} M rows/s, {threads} threads: {} rows, {} duplicates, {} quarantined, {} events, {} calls, {} connected, {} s, {minutes} minutes",
        summary.rows as f64 / seconds / 1e6,
        summary.rows,
        summary.duplicates,
        summary.quarantined,
        summary.events,
        summary.calls,
        summary.connected,
        summary.seconds,
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |i: usize| arguments.get(i).and_then(|text| text.parse::<usize>().ok());
    match (arguments.first().map(String::as_str), arguments.get(2)) {
        (Some("generate"), Some(path)) => {
            let mut out = BufWriter::new(std::fs::File::create(path).expect("the file can be made"));
            generate::asterisk(number(1).unwrap_or(1_000_000) as u64, 1, &mut out)
                .expect("the file is written");
            out.flush().expect("the file is written");
        }
        (Some("read"), _) => {
            let input = Input::File(arguments.get(1).expect("a path").into());
            let spec = match arguments.get(4).map(|name| Preset::parse(name).expect("a preset")) {
                None | Some(Preset::Asterisk) => spec(),
                Some(preset) => ImportSpec::new(preset, "usage"),
            };
            for _ in 0..number(3).unwrap_or(1) {
                read(&spec, &input, number(2).unwrap_or_else(Importer::threads_here));
            }
        }
        _ => {
            let mut bytes = Vec::new();
            generate::asterisk(20_000, 1, &mut bytes).expect("memory is written");
            read(&spec(), &Input::bytes(bytes), Importer::threads_here());
        }
    }
}
