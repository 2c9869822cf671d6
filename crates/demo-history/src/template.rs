//! The little language of the catalogue's texts: `{placeholder}` where a pod, a number or an address goes.
//!
//! | Placeholder | Becomes |
//! |---|---|
//! | `{pod}` | a pod of the target (the target itself when it is a pod or a node) |
//! | `{node}` | a node of the target's cluster (the target itself when it is a node) |
//! | `{int:3:40}` | a whole number from 3 to 40 |
//! | `{dec:0.2:9}` | a number with one decimal |
//! | `{ip}` | a pod address |
//! | `{hex:8}` | eight hexadecimal digits |
//! | `{uid}` | a UID as the API server makes them |

use super::inventory::Target;
use super::rng::Rng;

/// What the names in a text refer to: fixed for one incident, so that all its texts speak of the same pod and node.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) pod: String,
    pub(super) node: String,
}

impl Scene {
    pub(super) fn of(target: &Target, rng: &mut Rng) -> Self {
        Self {
            pod: target.pod(rng),
            node: target.node(rng),
        }
    }
}

/// `template` with every placeholder filled in.
pub(super) fn render(template: &str, scene: &Scene, rng: &mut Rng) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        text.push_str(before);
        let Some((placeholder, after)) = tail.split_once('}') else {
            rest = tail;
            break;
        };
        text.push_str(&fill(placeholder, scene, rng));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// An unknown placeholder keeps its braces, which a test looks for.
fn fill(placeholder: &str, scene: &Scene, rng: &mut Rng) -> String {
    let parts: Vec<&str> = placeholder.split(':').collect();
    match parts.as_slice() {
        ["pod"] => scene.pod.clone(),
        ["node"] => scene.node.clone(),
        ["ip"] => format!("10.{}.{}.{}", rng.int(64, 95), rng.int(0, 255), rng.int(2, 254)),
        ["uid"] => format!(
            "{}-{}-{}-{}-{}",
            rng.hex(8),
            rng.hex(4),
            rng.hex(4),
            rng.hex(4),
            rng.hex(12)
        ),
        ["hex", length] => length
            .parse()
            .map_or_else(|_| unknown(placeholder), |length| rng.hex(length)),
        ["int", low, high] => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => rng.int(low, high).to_string(),
            _ => unknown(placeholder),
        },
        ["dec", low, high] => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => format!("{:.1}", rng.float(low, high)),
            _ => unknown(placeholder),
        },
        _ => unknown(placeholder),
    }
}

fn unknown(placeholder: &str) -> String {
    format!("{{{placeholder}}}")
}
