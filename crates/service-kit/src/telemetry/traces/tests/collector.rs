//! A collector that remembers what it got.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value},
    resource::v1::Resource as SentResource,
    trace::v1::{Span as SentSpan, status::StatusCode as SpanStatus},
};
use prost::Message;
use serde_json::{Value, json};

/// What a collector got: the spans in their order, and where they come from.
#[derive(Clone, Default)]
pub(super) struct Received {
    pub(super) spans: Arc<Mutex<Vec<SentSpan>>>,
    pub(super) resources: Arc<Mutex<Vec<SentResource>>>,
}

/// Takes spans on `listener` until the test ends.
pub(super) fn collect(listener: TcpListener) -> Received {
    let received = Received::default();
    let collector = received.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let collector = collector.clone();
            thread::spawn(move || collector.serve(&stream.unwrap()));
        }
    });
    received
}

impl Received {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                head.push(line);
            }
            assert_eq!(head[0], "post /v1/traces http/1.1");
            assert!(head.contains(&"content-type: application/x-protobuf".to_owned()));
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            for of_resource in ExportTraceServiceRequest::decode(&body[..])
                .unwrap()
                .resource_spans
            {
                self.resources.lock().unwrap().extend(of_resource.resource);
                let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                self.spans.lock().unwrap().extend(spans);
            }
            let mut stream = stream;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        }
    }

    pub(super) fn span(&self, name: &str) -> SentSpan {
        let spans = self.spans.lock().unwrap();
        let mut named = spans.iter().filter(|span| span.name == name);
        let (Some(span), None) = (named.next(), named.next()) else {
            panic!("not one {name} in {spans:?}")
        };
        span.clone()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.spans
            .lock()
            .unwrap()
            .iter()
            .map(|span| span.name.clone())
            .collect()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Attributes as `{key: value}`.
pub(super) fn attributes(span: &SentSpan) -> Value {
    let plain = |value: &AnyValue| match value.value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => json!(text),
        any_value::Value::IntValue(number) => json!(number),
        other => panic!("{other:?}"),
    };
    span.attributes
        .iter()
        .map(|attribute| (attribute.key.clone(), plain(attribute.value.as_ref().unwrap())))
        .collect()
}

pub(super) fn status(span: &SentSpan) -> SpanStatus {
    span.status.as_ref().map_or(
        SpanStatus::Unset,
        opentelemetry_proto::tonic::trace::v1::Status::code,
    )
}
