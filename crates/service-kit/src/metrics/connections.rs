//! The gauges of a pool of connections to a database.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

/// Encodes `database_connections`, of which there are `open`, and `database_connections_idle`. For a collector, which
/// counts when somebody looks.
///
/// # Errors
///
/// Those of the encoder.
pub fn encode_connections(
    encoder: &mut DescriptorEncoder<'_>,
    open: u32,
    idle: usize,
) -> Result<(), fmt::Error> {
    // A collector ends its help texts itself; the registry does it for the other metrics.
    let gauges = [
        (
            "database_connections",
            "Connections to the database that are open.",
            i64::from(open),
        ),
        (
            "database_connections_idle",
            "Connections to the database that are open and not in use.",
            i64::try_from(idle).unwrap_or(i64::MAX),
        ),
    ];
    for (name, help, value) in gauges {
        let gauge = ConstGauge::new(value);
        let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(metric)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus_client::collector::Collector;

    use super::*;
    use crate::metrics::{registry, render};

    #[derive(Debug)]
    struct Pool;

    impl Collector for Pool {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            encode_connections(&mut encoder, 7, 3)
        }
    }

    #[test]
    fn both_gauges_are_told_under_the_prefix() {
        let mut registry = registry("datastorage");
        registry.register_collector(Box::new(Pool));
        assert_eq!(
            render(&registry).unwrap(),
            "# HELP datastorage_database_connections Connections to the database that are open.\n\
             # TYPE datastorage_database_connections gauge\n\
             datastorage_database_connections 7\n\
             # HELP datastorage_database_connections_idle Connections to the database that are open and not in use.\n\
             # TYPE datastorage_database_connections_idle gauge\n\
             datastorage_database_connections_idle 3\n\
             # EOF\n"
        );
    }
}
