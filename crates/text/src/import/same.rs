//! Whether two formats say the same usage: what is billed by is compared, not how it is written.

use farebox_core::metering::{Event, Value};
use farebox_core::money::Exact;

/// Whether account, type, times and attributes agree. A number is the same number however it is
/// written, and a text of its digits. `connected`, which calls always say, may be left unsaid; so
/// may the beginning.
pub(super) fn usage(a: &Event<'_>, b: &Event<'_>) -> bool {
    let starts = a.start.zip(b.start).is_none_or(|(a, b)| a == b);
    a.account == b.account && a.kind == b.kind && a.time == b.time && starts && within(a, b) && within(b, a)
}

/// Whether all that one says the other says too.
fn within(a: &Event<'_>, b: &Event<'_>) -> bool {
    a.attributes.iter().all(|(name, value)| match b.attributes.iter().find(|(other, _)| other == name) {
        Some((_, other)) => same(value, other),
        None => *name == "connected",
    })
}

fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(text), Value::Number(number)) | (Value::Number(number), Value::Text(text)) => {
            Exact::parse(text, 9).is_ok_and(|read| read == *number)
        }
    }
}
