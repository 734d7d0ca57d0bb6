//! Bodies of fuzz targets: any bytes in, no panic, every row accounted for, and the same result
//! whatever the chunk size and the number of threads.

use super::{Change, ImportSpec, Importer, Input, Origin, Preset, Sink, Summary, Verdict};
use farebox_core::calendar::Zone;
use farebox_core::metering::Event;

/// A sum over events that does not depend on their order.
#[derive(Default)]
struct Sum(u64);

impl Sink for Sum {
    fn usage(&mut self, event: &Event<'_>, change: Change, _: Origin) -> Verdict {
        let hash = xxhash_rust::xxh3::xxh3_64(format!("{event:?}").as_bytes());
        self.0 = match change {
            Change::Add => self.0.wrapping_add(hash),
            Change::Remove => self.0.wrapping_sub(hash),
        };
        Verdict::Counted
    }
}

fn run(spec: &ImportSpec, data: &[u8], threads: usize, chunk_bytes: usize) -> Option<(Summary, u64)> {
    let spec = ImportSpec { chunk_bytes, ..spec.clone() };
    let mut importer = Importer::new(threads);
    let mut sinks: Vec<Sum> = (0..threads).map(|_| Sum::default()).collect();
    let summary = importer.import(&spec, Input::bytes(data), &mut sinks, &|_| {}).ok()?;
    assert_eq!(summary.rows, summary.accounted(), "a row is lost or counted twice");
    assert_eq!(summary.quarantined, summary.reasons.values().sum::<u64>(), "a reason is lost");
    let sum = sinks.iter().fold(0u64, |sum, sink| sum.wrapping_add(sink.0));
    let again = importer.import(&spec, Input::bytes(data), &mut sinks, &|_| {}).ok()?;
    assert_eq!(again.counted + again.not_billable, 0, "a repeated file counts again");
    Some((summary, sum))
}

fn check(preset: Preset, data: &[u8]) {
    let spec = ImportSpec { zone: Zone::parse("Europe/Berlin"), ..ImportSpec::new(preset, "fuzz") };
    let whole = run(&spec, data, 1, 1 << 20);
    let pieces = run(&spec, data, 2, 61);
    assert_eq!(whole, pieces, "the result depends on how the work is shared");
}

/// CloudEvents of any form.
pub fn cloudevents(data: &[u8]) {
    check(Preset::CloudEvents, data);
}

/// An Asterisk `Master.csv`.
pub fn asterisk(data: &[u8]) {
    check(Preset::Asterisk, data);
}

/// An access log.
pub fn access_log(data: &[u8]) {
    check(Preset::AccessLog, data);
}

/// A CSV with a header.
pub fn csv(data: &[u8]) {
    check(Preset::Csv, data);
}

/// FreeSWITCH's call records as CSV.
pub fn freeswitch_csv(data: &[u8]) {
    check(Preset::FreeSwitchCsv, data);
}

/// FreeSWITCH's call records as JSON.
pub fn freeswitch_json(data: &[u8]) {
    check(Preset::FreeSwitchJson, data);
}

/// Kamailio's accounting in its log.
pub fn kamailio(data: &[u8]) {
    check(Preset::Kamailio, data);
}

/// Amazon Connect contact records.
pub fn amazon_connect(data: &[u8]) {
    check(Preset::AmazonConnect, data);
}

/// Twilio call resources.
pub fn twilio(data: &[u8]) {
    check(Preset::Twilio, data);
}
