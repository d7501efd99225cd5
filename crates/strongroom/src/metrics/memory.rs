//! The memory that requests keep.

use strongroom_engine::budget::BudgetUsage;

use super::exposition::Family;

/// Appends how far the budget is used.
pub(crate) fn render(text: &mut String, usage: BudgetUsage) {
    let BudgetUsage { limit_bytes, used_bytes, waiting, refused } = usage;
    let mut gauge = |name, help, value: usize| Family::new(text, name, "gauge", help).sample(&[], value);
    gauge("strongroom_memory_budget_bytes", "What requests together may keep in memory", limit_bytes);
    gauge("strongroom_memory_used_bytes", "What they keep of it", used_bytes);
    gauge("strongroom_memory_waiting", "Requests that wait for memory", waiting);
    let help = "Requests that waited for memory too long, and got 503";
    Family::new(text, "strongroom_memory_refused_total", "counter", help).sample(&[], refused);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_line() {
        let mut text = String::new();
        render(&mut text, BudgetUsage { limit_bytes: 4096, used_bytes: 1024, waiting: 3, refused: 2 });
        for line in [
            "strongroom_memory_budget_bytes 4096",
            "strongroom_memory_used_bytes 1024",
            "strongroom_memory_waiting 3",
            "strongroom_memory_refused_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
