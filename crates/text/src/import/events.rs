//! CloudEvents in memory, such as the body of a request: read one by one, in order, without looking for repeats.

use super::cloudevents::CLOUDEVENTS;
use super::objects::{Stream, piece};
use super::plain_event::{Attributes, plain_event};
use super::record::{Out, Parser, RowAt, decode};
use super::records::Plan;
use super::scan::{Fields, Found, Framing, ROW_BYTES_MAX};
use super::spec::{ImportSpec, Input, Preset};
use super::summary::{Quarantined, Reason, Until, excerpt};
use farebox_core::metering::Event;
use std::sync::Arc;

/// A row of a body.
#[derive(Debug)]
pub enum EventRow<'a> {
    /// It is an event.
    Event(Event<'a>),
    /// It is none, and why.
    Wrong {
        /// Its number, from 1: of an array the element, else the line.
        row: u64,
        /// Its place, and why.
        told: Quarantined,
    },
}

/// Reads the events of a body: an object, an array of them, or one a line. Every row that is not blank is shown once,
/// in the order of the body. What is wrong is told as an [`Importer`](super::Importer) tells it.
pub fn read_events(body: &[u8], each: &mut dyn FnMut(EventRow<'_>)) {
    let mark = if body.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let head = &body[mark..body.len().min(mark + ROW_BYTES_MAX)];
    let mut rows =
        Rows { body, number: 0, is_streamed: false, careful: None, attributes: Attributes::default(), each };
    match (CLOUDEVENTS.framing)(head) {
        Framing::Objects { within } => {
            let input = Input::bytes(body);
            let Ok(mut reader) = input.open() else { return };
            let mut stream = Stream::new(mark as u64, within);
            rows.is_streamed = true;
            // What is in memory can be read.
            while let Ok(Some(cut)) = stream.cut(&mut reader, body.len() as u64, CUT_BYTES) {
                for object in &cut.objects {
                    rows.number += 1;
                    let bytes = &cut.bytes[object.at..object.at + object.len];
                    let row = RowAt { bytes, line: 0, offset: object.offset };
                    match object.wrong {
                        Some((code, why)) => rows.wrong(object.line, object.offset, Reason::new(code, why)),
                        None => rows.row(row, object.line),
                    }
                }
            }
        }
        framing => {
            let (mut at, mut line) = (mark, 0u64);
            let mut fields = Fields::default();
            while at < body.len() {
                line += 1;
                rows.number = line;
                let offset = at as u64;
                let (bytes, next) = match framing.next(body, at, true, &mut fields) {
                    Found::Row { len, next, .. } | Found::Bad { len, next, .. } => {
                        (&body[at..at + len], next)
                    }
                    Found::TooLong | Found::More => {
                        let sentence = format!("the event is longer than {ROW_BYTES_MAX} bytes");
                        rows.wrong(line, offset, Reason::new("too-long", sentence));
                        let newline = memchr::memchr(b'\n', &body[at..]);
                        at = newline.map_or(body.len(), |newline| at + newline + 1);
                        continue;
                    }
                };
                at = next;
                if !bytes.is_empty() {
                    rows.row(RowAt { bytes, line: 0, offset }, line);
                }
            }
        }
    }
}

/// Bytes of an array that are looked at together.
const CUT_BYTES: u64 = 1 << 20;

struct Rows<'e> {
    body: &'e [u8],
    /// Of the row that is looked at.
    number: u64,
    /// Whether rows are pieces of JSON, wherever lines end.
    is_streamed: bool,
    /// Made when the first row needs it.
    careful: Option<Careful>,
    attributes: Attributes,
    each: &'e mut dyn FnMut(EventRow<'_>),
}

/// Reads any row, and tells what is wrong with it.
struct Careful {
    parser: Box<dyn Parser>,
    out: Out,
}

impl Careful {
    fn new() -> Option<Careful> {
        let spec = ImportSpec::new(Preset::CloudEvents, "body");
        let plan = Plan::new(&CLOUDEVENTS, &spec, "body", b"", 1).ok()?;
        Some(Careful { parser: Box::new(Arc::new(plan).parser()), out: Out::new(0, 1, 1) })
    }
}

impl Rows<'_> {
    fn row(&mut self, row: RowAt<'_>, line: u64) {
        if let Some(event) = plain_event(row.bytes, &mut self.attributes) {
            return (self.each)(EventRow::Event(event));
        }
        if self.careful.is_none() {
            self.careful = Careful::new();
        }
        let Some(Careful { parser, out }) = &mut self.careful else { return };
        let offset = row.offset;
        parser.row(row, &Fields::default(), out);
        let batch = &mut out.batches[0];
        if let Some(record) = batch.records.first() {
            (self.each)(EventRow::Event(decode(record, &batch.bytes)));
            batch.clear();
            return;
        }
        let reason = out.tally.take_first().map(|row| row.reason);
        let reason = reason.unwrap_or_else(|| Reason::new("no-event", "the row is no event"));
        self.wrong(line, offset, reason);
    }

    fn wrong(&mut self, line: u64, offset: u64, reason: Reason) {
        let begins = self.body.get(offset as usize..).unwrap_or_default();
        let first = match self.is_streamed {
            true => piece(begins),
            false => begins.split(|byte| *byte == b'\n').next().unwrap_or_default(),
        };
        let told =
            Quarantined { line, offset, rows: 1, reason, excerpt: excerpt(first), until: Until::Never };
        (self.each)(EventRow::Wrong { row: self.number, told });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Change, Importer, Origin, OwnedEvent, Sink, Verdict};
    use proptest::prelude::*;

    #[derive(Default)]
    struct Gather(Vec<String>);

    impl Sink for Gather {
        fn usage(&mut self, event: &Event<'_>, _: Change, _: Origin) -> Verdict {
            self.0.push(shown(event));
            Verdict::Counted
        }
    }

    fn shown(event: &Event<'_>) -> String {
        let mut owned = OwnedEvent::of(event, Origin { file: 0, line: 0, offset: 0, rows: 1, talk: None });
        owned.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        format!("{owned:?}")
    }

    /// What was wrong: line, code, and how the row begins.
    type Told = (u64, String, String);

    fn both(body: &str) -> [(Vec<String>, Vec<Told>); 2] {
        let (mut events, mut wrong) = (Vec::new(), Vec::new());
        read_events(body.as_bytes(), &mut |row| match row {
            EventRow::Event(event) => events.push(shown(&event)),
            EventRow::Wrong { told, .. } => {
                wrong.push((told.line, told.reason.code.to_owned(), told.excerpt));
            }
        });
        let spec = ImportSpec::new(Preset::CloudEvents, "body");
        let mut sinks = [Gather::default()];
        let summary = Importer::new(1).import(&spec, Input::bytes(body), &mut sinks, &|_| {}).unwrap();
        let listed = summary.listed.iter();
        let listed = listed.map(|row| (row.line, row.reason.code.to_owned(), row.excerpt.clone())).collect();
        let [Gather(imported)] = sinks;
        [(events, wrong), (imported, listed)]
    }

    fn agree(body: &str) {
        let [ours, importer] = both(body);
        assert_eq!(ours, importer, "{body}");
    }

    fn event(id: u32, more: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"e{id}","source":"s","type":"call","subject":"acme","time":"2026-01-05T10:00:00Z"{more}}}"#
        )
    }

    #[test]
    fn bodies_of_every_form() {
        let (a, b) = (event(1, r#","data":{"seconds":61,"to":"+49"}"#), event(2, ""));
        agree(&a);
        agree(&format!("{a}\n\n{b}\r\n"));
        agree(&format!("\u{feff}{a}\n{b}"));
        agree(&format!("[{a},{b}]"));
        agree(&format!("[\n{a},\n{b}\n"));
        agree(&format!("[{a},5,{b}]"));
        agree("");
        agree("\n \n");
        agree("no event\n{}\n");
        agree(&format!("{a}\n{{\"specversion\":\"0.3\"}}\n{b}\nx"));
        let long = event(3, &format!(r#","data":{{"note":"{}"}}"#, "x".repeat(ROW_BYTES_MAX)));
        agree(&format!("{a}\n{long}\n{b}"));
        agree(&format!("[{a},{{\"id\":1}},x, \"y\" ,[1,{{}}],{b}]]"));
    }

    #[test]
    fn rows_of_an_array_have_numbers_and_end_with_themselves() {
        let numbered = |body: &str| {
            let mut wrong = Vec::new();
            read_events(body.as_bytes(), &mut |row| {
                if let EventRow::Wrong { row, told } = row {
                    wrong.push((row, told.excerpt));
                }
            });
            wrong
        };
        let (a, bad) = (event(1, ""), r#"{"id":"b","more":[{}]}"#);
        let told = |row: u64, what: &str| (row, what.to_owned());
        assert_eq!(
            numbered(&format!("[{bad},{a},5,{bad} , \n{a}, {bad}]")),
            [told(1, bad), told(3, "5"), told(4, bad), told(6, bad)]
        );
        assert_eq!(
            numbered(&format!("{a}\n\n{bad}\n{bad} 5\n")),
            [told(3, bad), told(4, &format!("{bad} 5"))]
        );
        assert_eq!(numbered("{\n\"id\":1}"), [told(1, "{")]);
    }

    #[test]
    fn when_it_began_is_a_moment_or_the_event_is_wrong() {
        let good = r#""2026-01-05T09:00:00.25Z""#;
        for (wrong, found) in [
            (r#""2026-01-05 22:00:00""#, r#""2026-01-05 22:00:00""#),
            (r#""""#, r#""""#),
            ("1767603600", "1767603600"),
            ("true", "true"),
            (r#""1969-12-31T23:00:00Z""#, r#""1969-12-31T23:00:00Z""#),
            (r#""2200-01-01T00:00:00Z""#, r#""2200-01-01T00:00:00Z""#),
        ] {
            for (name, more) in [
                ("start", format!(",\"start\":{wrong}")),
                ("start", format!(",\"start\":{wrong},\"data\":{{\"start\":{good}}}")),
                ("data.start", format!(",\"data\":{{\"start\":{wrong}}}")),
                ("data.start", format!(",\"start\":null,\"data\":{{\"start\":{wrong}}}")),
            ] {
                let body = event(1, &more);
                agree(&body);
                let mut told = Vec::new();
                read_events(body.as_bytes(), &mut |row| match row {
                    EventRow::Event(event) => panic!("{more}: {event:?}"),
                    EventRow::Wrong { told: row, .. } => {
                        told.push((row.reason.code, row.reason.sentence.to_string()))
                    }
                });
                let sentence = format!(
                    "{name} {found} is no RFC 3339 time that can be billed, such as 2026-01-31T23:59:59Z"
                );
                assert_eq!(told, [("bad-time", sentence)], "{more}");
            }
        }
        for more in [
            format!(",\"start\":{good}"),
            format!(",\"start\":null,\"data\":{{\"start\":{good}}}"),
            ",\"data\":{\"start\":null}".to_owned(),
        ] {
            agree(&event(1, &more));
            assert_eq!(both(&event(1, &more))[0].1, [], "{more}");
        }
    }

    #[test]
    fn data_may_be_bytes() {
        // {"seconds":61,"to":"+49","start":"2026-01-05T09:00:00Z"}
        let bytes = r#","data_base64":"eyJzZWNvbmRzIjo2MSwidG8iOiIrNDkiLCJzdGFydCI6IjIwMjYtMDEtMDVUMDk6MDA6MDBaIn0=""#;
        let plain = r#","data":{"seconds":61,"to":"+49","start":"2026-01-05T09:00:00Z"}"#;
        let [(expected, _), _] = both(&event(1, plain));
        for media in [
            "",
            r#","datacontenttype":"Application/JSON; charset=utf-8""#,
            r#","datacontenttype":"a/b+json""#,
        ] {
            let body = event(1, &format!("{media}{bytes}"));
            agree(&body);
            assert_eq!(both(&body)[0], (expected.clone(), Vec::new()), "{media}");
        }
        for (more, why) in [
            (format!("{bytes}{plain}"), "it has both data and data_base64; an event has one of them"),
            (
                format!("{bytes},\"datacontenttype\":\"text/csv\""),
                "data_base64 is of the type \"text/csv\"; only JSON can be read",
            ),
            (r#","data_base64":5"#.to_owned(), "data_base64 is no text"),
            (
                r#","data_base64":"e30""#.to_owned(),
                "data_base64 is no Base64 of a UTF-8 text (RFC 4648, with padding)",
            ),
            (
                r#","data_base64":"/w==""#.to_owned(),
                "data_base64 is no Base64 of a UTF-8 text (RFC 4648, with padding)",
            ),
            (
                r#","data_base64":"NQ==""#.to_owned(),
                "what data_base64 holds is no JSON object: after 0 bytes of the JSON, { is expected",
            ),
        ] {
            agree(&event(1, &more));
            let mut told = Vec::new();
            read_events(event(1, &more).as_bytes(), &mut |row| match row {
                EventRow::Event(event) => panic!("{more}: {event:?}"),
                EventRow::Wrong { told: row, .. } => {
                    told.push((row.reason.code, row.reason.sentence.to_string()))
                }
            });
            assert_eq!(told, [("bad-data", why.to_owned())], "{more}");
        }
        agree(&event(1, r#","data_base64":null,"data":{"seconds":5}"#));
    }

    #[test]
    fn data_is_an_object_or_nothing() {
        for (data, found) in [
            (r#""{\"seconds\":61}""#, "a text; JSON within JSON is not read"),
            ("\"\"", "a text; JSON within JSON is not read"),
            (r#"[{"seconds":61}]"#, "an array"),
            ("[]", "an array"),
            ("61", "a number"),
            ("true", "a truth value"),
        ] {
            let body = event(1, &format!(",\"data\":{data}"));
            agree(&body);
            read_events(body.as_bytes(), &mut |row| match row {
                EventRow::Event(event) => panic!("{data}: {event:?}"),
                EventRow::Wrong { told, .. } => {
                    let expected = Reason::new("bad-data", format!("data is no JSON object, but {found}"));
                    assert_eq!(told.reason, expected);
                }
            });
        }
        for data in ["null", "{}", r#"{"0":61,"data":[1]}"#] {
            let body = event(1, &format!(",\"data\":{data}"));
            agree(&body);
            assert_eq!(both(&body)[0].0.len(), 1, "{data}");
        }
    }

    #[test]
    fn one_event_each() {
        let [(events, wrong), _] = both(&format!("{}\n{}", event(1, ""), event(1, "")));
        // Repeats are for whoever asks.
        assert_eq!((events.len(), wrong.len()), (2, 0));
    }

    #[test]
    fn what_bills_are_split_by_has_a_value_or_is_not_there() {
        let plain = r#","data":{"seconds":61,"project":"","tag:team":"","application":"","to":""}"#;
        for more in
            [plain.to_owned(), plain.replace("61", r#"61,"é":"\u00e9""#), format!(",\"project\":\"\"{plain}")]
        {
            agree(&event(1, &more));
            let [(events, _), _] = both(&event(1, &more));
            assert!(events[0].contains("(\"to\", Text(\"\"))"), "{events:?}");
            for name in ["project", "application", "tag:"] {
                assert!(!events[0].contains(name), "{events:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn plain_events_are_what_the_importer_makes_of_them(
            names in proptest::collection::vec("(data|start|revision|subject|seconds|to|id|a\\.b|é|tag:x)", 0..5),
            values in proptest::collection::vec(r#"("[a-z é+:]{0,4}"|"\\u00e9"|"2026-01-0[4-6]T09:00:00Z"|-?[0-9]{1,16}(\.[0-9]{1,3})?|1e3|01|true|false|null|\{\}|\[1\]|\{"x":2\}|)"#, 5),
            outer in r#"(|,"project":"p"|,"revision":[0-9]{1,2}|,"data\.to":1|,"start":("2026-01-05T09:00:00Z"|"2026-01-05 09:00:00"|5|null)|,"data_base64":("eyJhIjoxfQ=="|"x"|null)|,"datacontenttype":"x"|,"subject":"b"|,"type":5)"#,
            spaces in "[ \t]{0,2}",
            cut in 0usize..400,
        ) {
            let data: Vec<String> =
                names.iter().zip(&values).map(|(name, value)| format!("\"{name}\"{spaces}:{value}")).collect();
            let whole = event(1, &format!("{outer},{spaces}\"data\":{{{}}}", data.join(",")));
            agree(&whole);
            let cut = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
            agree(&format!("{}\n{}", &whole[..cut], event(2, "")));
        }
    }
}
