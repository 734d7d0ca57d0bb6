//! The text format: families of samples, each with what it is.

use super::Counter;
use std::fmt::Write;

/// What a family is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A page as it grows.
#[derive(Default)]
pub(super) struct Page {
    pub text: String,
}

impl Page {
    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.word()));
    }

    /// A family of one sample.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, counter: &Counter) {
        self.family(name, kind, help);
        self.sample(name, &[], counter.get() as f64);
    }

    /// A sample. Numbers are written as Rust does: as short as tells them from their neighbours.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    /// A histogram: how many were at most as large as each bound, in all, and their sum. `counts`: by bound, not summed;
    /// the last one is beyond every bound.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut all = 0;
        let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            all += count;
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, all as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all as f64);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Text takes whatever is written.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }
}

/// The value of a label between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The families of a page: name, kind, labels, help.
pub(super) fn families(page: &str) -> Vec<(String, &'static str, Vec<String>, String)> {
    let mut found: Vec<(String, &'static str, Vec<String>, String)> = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            found.push((name.to_owned(), "", Vec::new(), help.to_owned()));
            continue;
        }
        let Some(family) = found.last_mut() else { continue };
        if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram].map(Kind::word);
            family.1 = kinds.into_iter().find(|known| *known == kind).unwrap_or_default();
            continue;
        }
        let labels =
            line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(labels, _)| labels);
        let names =
            labels.into_iter().flat_map(|labels| labels.split(',')).filter_map(|label| label.split_once('='));
        for (name, _) in names.filter(|(name, _)| *name != "le") {
            if !family.2.iter().any(|known| known == name) {
                family.2.push(name.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let mut page = Page::default();
        page.family("a", Kind::Gauge, "one\ntwo \\ three");
        page.sample("a", &[("b", "c\\d\"e\nf")], 0.25);
        assert_eq!(
            page.text,
            "# HELP a one\\ntwo \\\\ three\n# TYPE a gauge\na{b=\"c\\\\d\\\"e\\nf\"} 0.25\n"
        );
    }

    #[test]
    fn buckets_are_summed() {
        let mut page = Page::default();
        page.histogram("a", &[("b", "c")], &[0.5, 1.0], &[2, 3, 4], 17.5);
        assert_eq!(
            page.text,
            "a_bucket{b=\"c\",le=\"0.5\"} 2\na_bucket{b=\"c\",le=\"1\"} 5\na_bucket{b=\"c\",le=\"+Inf\"} 9\n\
             a_sum{b=\"c\"} 17.5\na_count{b=\"c\"} 9\n"
        );
    }
}
