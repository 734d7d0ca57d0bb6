//! Traces, as a receiver of OpenTelemetry gets them over HTTP.

mod common;

use common::Server;
use farebox_server::Traces;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Takes so many requests, and answers each with a status; their heads and spans.
fn receiver(listener: TcpListener, answers: Vec<u16>) -> JoinHandle<Vec<(String, Vec<Span>)>> {
    std::thread::spawn(move || {
        let mut found = Vec::new();
        for status in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let read = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            let scopes = read.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            found.push((head, scopes.flat_map(|scope| scope.spans).collect()));
            write!(reader.get_mut(), "HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
        found
    })
}

fn text(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|pair| pair.key == name);
    match found.and_then(|pair| pair.value.as_ref()?.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name} of {}: {other:?}", span.name),
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_is_followed_from_its_caller_to_its_commit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let received = receiver(listener, vec![200]);
    let (traces, sender) = Traces::start(endpoint.parse().unwrap()).unwrap();
    let server = Server::start_traced(1_000, Some(traces));
    let secret = server.token.rsplit('_').next().unwrap().to_owned();
    let open = json!({"command": "open", "title": "Acme", "currency": "CNY", "zone": "+08:00"}).to_string();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "asked-by-the-test")];
    assert_eq!(server.send("POST", "/v1/accounts/acme/commands", &headers, open).status, 200);
    let unrecorded = format!("00-{TRACE}-{CALLER}-00");
    assert_eq!(server.send("GET", "/v1/keys", &[("traceparent", &unrecorded)], "").status, 200);
    assert_eq!(server.ask("GET", "/v1/nothing", &[], "").status, 404);
    server.dear("dear", "2", "2026-01-01T10:00:00+08:00");
    server.advance("2026-01-04T00:00:00+08:00");
    let page = server.get("/metrics").text;
    assert!(page.contains("farebox_trace_spans_total{outcome=\"dropped\"} 0"), "{page}");
    // What is left is sent when the server ends.
    drop(server);
    sender.join().unwrap();

    let all = received.join().unwrap();
    let (head, spans) = &all[0];
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: application/x-protobuf\r\n"), "{head}");
    let of_name = |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name == name).collect() };

    let name = "POST /v1/accounts/{account}/commands";
    let request = of_name(name).into_iter().find(|span| hex(&span.trace_id) == TRACE).unwrap();
    assert_eq!((hex(&request.parent_span_id), request.kind), (CALLER.to_owned(), 2));
    assert_eq!(text(request, "http.request.method"), "POST");
    assert_eq!(text(request, "http.route"), "/v1/accounts/{account}/commands");
    assert_eq!(text(request, "http.response.status_code"), "200");
    assert_eq!(text(request, "farebox.request_id"), "asked-by-the-test");
    assert_eq!(text(request, "farebox.operation"), "send-command");
    assert!(request.start_time_unix_nano < request.end_time_unix_nano);
    assert!(of_name("GET /v1/keys").is_empty(), "its caller does not record it");
    let unknown = of_name("GET");
    assert_eq!((unknown.len(), text(unknown[0], "http.response.status_code")), (1, "404".to_owned()));
    assert!(unknown[0].parent_span_id.is_empty());

    // The engine decided it in a round with a commit.
    let decided = of_name("decide").into_iter().find(|span| span.parent_span_id == request.span_id).unwrap();
    assert_eq!(decided.trace_id, request.trace_id);
    assert!(text(decided, "farebox.waited_micros").parse::<u64>().is_ok());
    let links_to_it = |span: &&&Span| span.links.iter().any(|link| link.span_id == request.span_id);
    let rounds = of_name("round");
    let round = rounds.iter().find(links_to_it).unwrap();
    // With the note that the key was used, where that came in time.
    assert!(["1", "2"].contains(&text(round, "farebox.jobs").as_str()), "{round:?}");
    let commit = of_name("commit").into_iter().find(|span| span.parent_span_id == round.span_id).unwrap();
    assert!(commit.start_time_unix_nano >= decided.end_time_unix_nano);
    assert!(commit.end_time_unix_nano <= request.end_time_unix_nano, "it is answered when it is durable");

    // What time did, run by run.
    let settled = of_name("settle charges");
    let dues: Vec<String> = settled.iter().map(|span| text(span, "farebox.due")).collect();
    assert!(dues.contains(&"2026-01-01T16:00:00Z".to_owned()), "{dues:?}");
    assert_eq!(text(settled[0], "farebox.account"), "dear");
    let schedule = of_name("schedule");
    let runs: u64 = schedule.iter().map(|span| text(span, "farebox.runs").parse::<u64>().unwrap()).sum();
    let told = spans.iter().filter(|span| span.name.starts_with("settle ")).count() as u64;
    assert_eq!(runs, told);
    assert!(schedule.iter().any(|span| span.span_id == settled[0].parent_span_id));
    assert!(!format!("{spans:?}").contains(&secret), "no secret is sent");
}

#[test]
fn a_receiver_that_refuses_or_is_not_there_does_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/otel", listener.local_addr().unwrap());
    let received = receiver(listener, vec![503]);
    let (traces, sender) = Traces::start(endpoint.parse().unwrap()).unwrap();
    let server = Server::start_traced(1_000, Some(traces));
    assert_eq!(server.get("/v1/keys").status, 200);
    let (head, _) = received.join().unwrap().remove(0);
    assert!(head.starts_with("POST /otel/v1/traces "), "{head}");
    // It has gone: nobody listens any more.
    let start = std::time::Instant::now();
    let failed = |page: &str| {
        let line =
            page.lines().find_map(|line| line.strip_prefix("farebox_trace_spans_total{outcome=\"failed\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    // The request, its decision, the round and its commit; then those of this page.
    while failed(&server.get("/metrics").text) < 6 {
        assert!(start.elapsed().as_secs() < 20, "{}", server.get("/metrics").text);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(server);
    sender.join().unwrap();
}
