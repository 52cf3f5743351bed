//! Prometheus' text format: families with their samples, in order. Knows no metric of its own.

use std::fmt::{Display, Write};

use crate::{BOUNDS, BUCKETS};

/// What a family's numbers are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows, until the process ends.
    Counter,
    /// Buckets, sum and count.
    Histogram,
    /// Sum and count.
    Summary,
}

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page(String);

/// One family of it.
pub struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

/// Names and values of labels. Values are ours; they are escaped all the same.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let page = &mut self.0;
        // Writing to a string does not fail, here and below.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page, name }
    }

    /// A family of one gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// A family of one counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: impl Display) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// The whole page.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One number.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// What a mean is made of; the sum is in millionths.
    pub fn mean(&mut self, sum: u64, count: u64) {
        self.line("_sum", &[], None, sum as f64 / 1e6);
        self.line("_count", &[], None, count);
    }

    /// Durations, as seconds: what [`crate::Histogram::read`] gives.
    pub fn histogram(&mut self, labels: Labels<'_>, read: ([u64; BUCKETS], u64)) {
        let (buckets, sum) = read;
        let mut below = 0_u64;
        for (n, count) in buckets.iter().enumerate() {
            below = below.saturating_add(*count);
            let bound = BOUNDS.get(n).map(|bound| *bound as f64 / 1e6);
            self.line("_bucket", labels, Some(bound), below);
        }
        self.line("_sum", labels, None, sum as f64 / 1e6);
        self.line("_count", labels, None, below);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Option<f64>>, value: impl Display) {
        let page = &mut *self.page;
        let _ = write!(page, "{}{suffix}", self.name);
        let mut before = '{';
        for (name, value) in labels {
            let _ = write!(page, "{before}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => page.push_str("\\\\"),
                    '"' => page.push_str("\\\""),
                    '\n' => page.push_str("\\n"),
                    c => page.push(c),
                }
            }
            page.push('"');
            before = ',';
        }
        match bound {
            None => {}
            Some(bound) => {
                let _ = write!(page, "{before}le=\"");
                let _ = match bound {
                    Some(bound) => write!(page, "{bound}"),
                    None => write!(page, "+Inf"),
                };
                page.push('"');
                before = ',';
            }
        }
        if before == ',' {
            page.push('}');
        }
        let _ = writeln!(page, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.gauge("up", "Whether it is.", 1);
        let mut family = page.family("took_seconds", Kind::Histogram, "How long.");
        let mut buckets = [0; BUCKETS];
        buckets[0] = 2;
        buckets[4] = 1;
        buckets[BUCKETS - 1] = 1;
        family.histogram(&[("call", "a\"b\\c\nd")], (buckets, 20_001_100));
        let text = page.finish();
        assert!(text.starts_with("# HELP up Whether it is.\n# TYPE up gauge\nup 1\n# HELP took_seconds How long.\n"));
        let label = "call=\"a\\\"b\\\\c\\nd\"";
        for line in [
            format!("took_seconds_bucket{{{label},le=\"0.00005\"}} 2\n"),
            format!("took_seconds_bucket{{{label},le=\"0.001\"}} 3\n"),
            format!("took_seconds_bucket{{{label},le=\"10\"}} 3\n"),
            format!("took_seconds_bucket{{{label},le=\"+Inf\"}} 4\n"),
            format!("took_seconds_sum{{{label}}} 20.0011\ntook_seconds_count{{{label}}} 4\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
