//! Spans as OTLP has them: the protobuf message `ExportTraceServiceRequest` of opentelemetry-proto 1.x.
//!
//! The message is written by hand: it is five kinds of fields. The tests read it with the code that is generated from
//! the specification.

use super::{Span, Value};
use jiff::Timestamp;

/// A message as it grows.
#[derive(Default)]
struct Message(Vec<u8>);

/// A kind of field on the wire.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    fn moment(&mut self, field: u64, at: Timestamp) {
        self.tag(field, FIXED_64);
        let nanos = u64::try_from(at.as_nanosecond()).unwrap_or_default();
        self.0.extend(nanos.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn attribute(&mut self, field: u64, name: &str, value: &Value) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |any| match value {
                Value::Text(text) => any.bytes(1, text.as_bytes()),
                Value::Number(number) => any.number(3, *number as u64),
            });
        });
    }

    fn span(&mut self, field: u64, span: &Span) {
        self.message(field, |to| {
            to.bytes(1, &span.context.trace);
            to.bytes(2, &span.context.span);
            if let Some(parent) = &span.parent {
                to.bytes(4, parent);
            }
            to.bytes(5, span.name.as_bytes());
            // Internal, or of a server.
            to.number(6, if span.is_server { 2 } else { 1 });
            to.moment(7, span.start);
            to.moment(8, span.end.max(span.start));
            for (name, value) in &span.attributes {
                to.attribute(9, name, value);
            }
            for link in &span.links {
                to.message(13, |to| {
                    to.bytes(1, &link.trace);
                    to.bytes(2, &link.span);
                });
            }
            if span.has_failed {
                // An error.
                to.message(15, |status| status.number(3, 2));
            }
        });
    }
}

/// All spans as one request.
pub(super) fn request(spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |resource| {
            resource.attribute(1, "service.name", &Value::Text("farebox".to_owned()));
            resource.attribute(1, "service.version", &Value::Text(version.to_owned()));
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"farebox");
                scope.bytes(2, version.as_bytes());
            });
            spans.iter().for_each(|span| of_scope.span(2, span));
        });
    });
    request.0
}

#[cfg(test)]
mod tests {
    use super::super::Context;
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use prost::Message as _;

    #[test]
    fn a_span_is_read_by_the_code_of_the_specification() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let context = Context { trace: [0xab; 16], span: [0xcd; 8] };
        let (start, end) = (at("2026-01-01T00:00:00.000000001Z"), at("2026-01-01T00:00:01Z"));
        let mut span = Span::new(context, "GET /v1/accounts", start, end)
            .number("http.response.status_code", 503)
            .text("farebox.request_id", "r-1 \u{4eba}");
        span.attributes.push(("below.zero", Value::Number(-1)));
        span.links = vec![Context { trace: [1; 16], span: [2; 8] }];
        (span.parent, span.is_server, span.has_failed) = (Some([0xef; 8]), true, true);
        let plain = Span::new(context.below(), "commit", end, start);
        let read = ExportTraceServiceRequest::decode(&*request(&[span, plain])).unwrap();
        let [of_resource] = read.resource_spans.as_slice() else { panic!("{read:?}") };
        let resource = of_resource.resource.as_ref().unwrap();
        let text = |text: &str| Some(Any::StringValue(text.to_owned()));
        let value = |value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| {
            value.as_ref().and_then(|value| value.value.clone())
        };
        assert_eq!(resource.attributes[0].key, "service.name");
        assert_eq!(value(&resource.attributes[0].value), text("farebox"));
        let spans = &of_resource.scope_spans[0].spans;
        let [first, second] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((first.trace_id.as_slice(), first.span_id.as_slice()), (&[0xab; 16][..], &[0xcd; 8][..]));
        assert_eq!((first.parent_span_id.as_slice(), first.kind), (&[0xef; 8][..], 2));
        assert_eq!(first.name, "GET /v1/accounts");
        assert_eq!(u128::from(first.end_time_unix_nano - first.start_time_unix_nano), 999_999_999);
        assert_eq!(i128::from(first.start_time_unix_nano), start.as_nanosecond());
        let attributes: Vec<(&str, Option<Any>)> =
            first.attributes.iter().map(|pair| (pair.key.as_str(), value(&pair.value))).collect();
        assert_eq!(
            attributes,
            [
                ("http.response.status_code", Some(Any::IntValue(503))),
                ("farebox.request_id", text("r-1 \u{4eba}")),
                ("below.zero", Some(Any::IntValue(-1))),
            ]
        );
        assert_eq!((first.links[0].trace_id.as_slice(), first.links[0].span_id.len()), (&[1; 16][..], 8));
        assert_eq!(first.status.as_ref().map(|status| status.code), Some(2));
        assert_eq!((second.kind, second.parent_span_id.len(), second.status.is_none()), (1, 0, true));
        assert_eq!(second.start_time_unix_nano, second.end_time_unix_nano, "none ends before it begins");
    }
}
