//! The table that `farebox bench` prints: each figure beside the machine's limit or a peer of the same run.

/// A line of it.
pub struct Row {
    pub what: String,
    /// What was measured.
    pub figure: String,
    /// What it is measured against, in the same run.
    pub beside: String,
    /// The one to the other.
    pub ratio: Option<f64>,
    /// What is aimed at.
    pub aim: &'static str,
}

/// Lines that were measured so far: each is printed at once.
pub struct Table(());

const HEAD: &str = "| What | Measured | Beside | Ratio | Aim |\n| --- | --- | --- | --- | --- |";

impl Table {
    /// Prints the head.
    pub fn begin() -> Table {
        println!("{HEAD}");
        Table(())
    }

    /// Prints a line.
    pub fn row(&mut self, row: &Row) {
        let Row { what, figure, beside, ratio, aim } = row;
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        println!("| {what} | {figure} | {beside} | {ratio} | {aim} |");
    }
}

/// A whole number with its thousands apart.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Times of requests, in microseconds, to be asked for shares of them.
pub struct Waits(Vec<u64>);

impl Waits {
    /// Those of several connections.
    pub fn of(mut all: Vec<u64>) -> Waits {
        all.sort_unstable();
        Waits(all)
    }

    /// Those of several times.
    pub fn all(parts: impl IntoIterator<Item = Waits>) -> Waits {
        Waits::of(parts.into_iter().flat_map(|waits| waits.0).collect())
    }

    /// `p50 1.2 ms, p99 3.4 ms`.
    pub fn shown(&self) -> String {
        let at = |part: usize| self.0.get(self.0.len() * part / 100).copied().unwrap_or(0) as f64 / 1e3;
        format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown: Vec<String> = [0.0, 999.4, 1_000.0, 1_234_567.0].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
