//! What waits for the catalog, and the state of its write-ahead log.

use strongroom_catalog::{CatalogNumbers, LogNumbers};

use super::exposition::Family;

/// The length of a page of the catalog.
const PAGE_BYTES: u64 = 4096;

/// Appends the families.
pub(crate) fn render(text: &mut String, numbers: CatalogNumbers) {
    let CatalogNumbers { lookups, scans, most_rows, log: LogNumbers { pages, checkpoints, held_back, busy, failed } } = numbers;
    let mut family = Family::new(text, "strongroom_catalog_reads", "gauge", "Reads of the catalog that wait or are under way");
    family.sample(&[("lane", "lookup")], lookups);
    family.sample(&[("lane", "scan")], scans);
    let help = "Rows that the largest transaction since the start has changed";
    Family::new(text, "strongroom_catalog_transaction_rows_max", "gauge", help).sample(&[], most_rows);
    let help = "What of the catalog's write-ahead log is in use";
    Family::new(text, "strongroom_catalog_log_bytes", "gauge", help).sample(&[], pages.saturating_mul(PAGE_BYTES));
    let help = "Attempts to move the log into the database by how they ended";
    let mut family = Family::new(text, "strongroom_catalog_checkpoints_total", "counter", help);
    for (outcome, count) in [("moved", checkpoints), ("held_back", held_back), ("busy", busy), ("failed", failed)] {
        family.sample(&[("outcome", outcome)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_and_each_outcome_has_its_line() {
        let log = LogNumbers { pages: 2, checkpoints: 3, held_back: 4, busy: 5, failed: 6 };
        let mut text = String::new();
        render(&mut text, CatalogNumbers { lookups: 7, scans: 8, most_rows: 9, log });
        for line in [
            "strongroom_catalog_reads{lane=\"lookup\"} 7",
            "strongroom_catalog_reads{lane=\"scan\"} 8",
            "strongroom_catalog_transaction_rows_max 9",
            "strongroom_catalog_log_bytes 8192",
            "strongroom_catalog_checkpoints_total{outcome=\"moved\"} 3",
            "strongroom_catalog_checkpoints_total{outcome=\"held_back\"} 4",
            "strongroom_catalog_checkpoints_total{outcome=\"busy\"} 5",
            "strongroom_catalog_checkpoints_total{outcome=\"failed\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
