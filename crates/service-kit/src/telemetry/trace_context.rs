//! Which trace a request belongs to: the headers `traceparent` and `tracestate` of W3C Trace Context.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Injector, TextMapPropagator},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of what every version of `traceparent` begins with: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_LENGTH: usize = 55;

/// Longest `tracestate` passed on. Section 3.3.1.5 asks for 512 characters at least; a longer one is left out whole.
const TRACESTATE_MAX_LENGTH: usize = 512;

/// Puts `traceparent`, and `tracestate` if there is one, of the current span into the headers of a request that is
/// about to be sent; does nothing outside of a trace. The receiver becomes a child of the current span.
///
/// ```
/// # use axum::http::HeaderMap;
/// let mut headers = HeaderMap::new();
/// service_kit::telemetry::inject(&mut headers);
/// assert!(headers.is_empty(), "nothing is traced here");
/// ```
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Context::current(), &mut Headers(headers));
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// The trace that the sender of these headers is in. A malformed `traceparent` is none (section 3.2.2.5), a malformed
/// `tracestate` is left out.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    match parent(headers) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// The id of the trace that this thread is working for.
pub(crate) fn current_trace_id() -> Option<TraceId> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id())
    })
}

fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (known, more) = value.to_str().ok()?.split_at_checked(TRACEPARENT_LENGTH)?;
    let mut fields = known.split('-');
    let version = lower_hex(fields.next()?, 2)?;
    let trace_id = TraceId::from_hex(lower_hex(fields.next()?, 32)?).ok()?;
    let span_id = SpanId::from_hex(lower_hex(fields.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(lower_hex(fields.next()?, 2)?, 16).ok()?;
    // Later versions may append fields; version ff is none.
    let complete = more.is_empty() || (version != "00" && more.starts_with('-'));
    if version == "ff" || !complete {
        return None;
    }
    let sampled = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let parent = SpanContext::new(trace_id, span_id, sampled, true, state(headers));
    // Ids of zeroes are invalid.
    parent.is_valid().then_some(parent)
}

fn lower_hex(text: &str, length: usize) -> Option<&str> {
    let well_formed =
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then_some(text)
}

/// Several headers are one list (section 3.3.1).
fn state(headers: &HeaderMap) -> TraceState {
    let values: Result<Vec<_>, _> = headers
        .get_all(TRACESTATE)
        .iter()
        .map(HeaderValue::to_str)
        .collect();
    values
        .ok()
        .map(|values| values.join(","))
        .filter(|list| list.len() <= TRACESTATE_MAX_LENGTH)
        .and_then(|list| list.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(traceparent: &[&str], tracestate: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in traceparent {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        for value in tracestate {
            headers.append(TRACESTATE, value.parse().unwrap());
        }
        headers
    }

    fn parent_of(traceparent: &str) -> Option<SpanContext> {
        parent(&headers(&[traceparent], &[]))
    }

    #[test]
    fn a_well_formed_traceparent_is_taken() {
        let parent = parent_of(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(parent.trace_id().to_string(), TRACE);
        assert_eq!(parent.span_id().to_string(), SPAN);
        assert!(parent.is_sampled() && parent.is_remote());
        assert!(!parent_of(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled());
        assert!(!parent_of(&format!("00-{TRACE}-{SPAN}-02")).unwrap().is_sampled());
        // A later version, with a field that is not known yet.
        assert!(parent_of(&format!("cc-{TRACE}-{SPAN}-01-what-comes")).is_some());
    }

    #[test]
    fn any_other_is_not() {
        let zeros = "0".repeat(32);
        for malformed in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}0-01", &TRACE[..31]),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00_{TRACE}_{SPAN}_01"),
        ] {
            assert_eq!(parent_of(&malformed), None, "{malformed}");
        }
        let twice = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(parent(&headers(&[&twice, &twice], &[])), None);
    }

    #[test]
    fn the_state_is_passed_on_or_left_out_whole() {
        let traceparent = format!("00-{TRACE}-{SPAN}-01");
        let passed = |tracestate: &[&str]| {
            let _guard = extract(&headers(&[&traceparent], tracestate)).attach();
            let mut sent = HeaderMap::new();
            inject(&mut sent);
            assert_eq!(sent[TRACEPARENT], traceparent);
            sent.get(TRACESTATE)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(passed(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"));
        assert_eq!(passed(&[]), None);
        assert_eq!(passed(&["no list"]), None);
        assert_eq!(passed(&[&format!("a={}", "x".repeat(511))]), None);
        assert_eq!(passed(&[&format!("a={}", "x".repeat(250))]).unwrap().len(), 252);
    }
}
