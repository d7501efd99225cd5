//! How often limits were reached.

use strongroom_s3::LimitCounts;

use super::exposition::Family;

/// Appends the counters.
pub(crate) fn render(text: &mut String, counts: LimitCounts) {
    let LimitCounts { rate, at_once, wrong_signatures } = counts;
    let help = "Requests refused because a user asked for more than the limits allow";
    let mut family = Family::new(text, "strongroom_limited_requests_total", "counter", help);
    family.sample(&[("limit", "requests_per_second")], rate);
    family.sample(&[("limit", "requests_at_once")], at_once);
    let help = "Requests whose signature was wrong, or whose access key there is not";
    Family::new(text, "strongroom_wrong_signatures_total", "counter", help).sample(&[], wrong_signatures);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_line() {
        let mut text = String::new();
        render(&mut text, LimitCounts { rate: 3, at_once: 2, wrong_signatures: 7 });
        for line in [
            "strongroom_limited_requests_total{limit=\"requests_per_second\"} 3",
            "strongroom_limited_requests_total{limit=\"requests_at_once\"} 2",
            "strongroom_wrong_signatures_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
