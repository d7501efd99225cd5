//! The room on the disks.

use strongroom_engine::space::{Condition, VolumeUsage};

use super::exposition::Family;

/// Appends what is free on each disk and what is kept in reserve there.
pub(crate) fn render(text: &mut String, condition: Condition, refused: u64, volumes: &[VolumeUsage]) {
    type Read = fn(&VolumeUsage) -> u64;
    let families: [(&str, &str, Read); 4] = [
        ("strongroom_disk_free_bytes", "Bytes that are free on a disk of the server", |volume| volume.free.bytes),
        ("strongroom_disk_reserve_bytes", "Bytes that the server keeps there for reads and deletes", |volume| volume.kept.held_bytes),
        ("strongroom_disk_reserve_limit_bytes", "Bytes that it is to keep", |volume| volume.kept.wanted_bytes),
        ("strongroom_disk_writable", "1 while uploads are taken, as far as this disk goes", |volume| {
            u64::from(volume.condition == Condition::Open)
        }),
    ];
    for (name, help, read) in families {
        let mut family = Family::new(text, name, "gauge", help);
        for volume in volumes {
            family.sample(&[("volume", volume.name)], read(volume));
        }
    }
    let mut family = Family::new(text, "strongroom_disk_free_files", "gauge", "Files that may still be made on a disk that limits them");
    for volume in volumes {
        if let Some(files) = volume.free.files {
            family.sample(&[("volume", volume.name)], files);
        }
    }
    let help = "1 while uploads are taken, 0 while a disk is full, failing or read-only";
    Family::new(text, "strongroom_storage_writable", "gauge", help).sample(&[], u64::from(condition == Condition::Open));
    let help = "Uploads and other new data that were refused for the state of a disk before anything was read";
    Family::new(text, "strongroom_storage_refused_total", "counter", help).sample(&[], refused);
}

#[cfg(test)]
mod tests {
    use strongroom_space::{Free, Kept};

    use super::*;

    #[test]
    fn each_disk_has_its_lines_and_a_disk_without_a_limit_of_files_has_none_of_them() {
        let free = Free { bytes: 10, total_bytes: 100, files: None, total_files: None, is_read_only: false };
        let kept = Kept { held_bytes: 3, wanted_bytes: 4 };
        let data = VolumeUsage { name: "data", free, kept, condition: Condition::Full };
        let audit = VolumeUsage { name: "audit", free: Free { files: Some(7), ..free }, kept, condition: Condition::Open };
        let mut text = String::new();
        render(&mut text, Condition::Full, 5, &[data, audit]);
        for line in [
            "strongroom_disk_free_bytes{volume=\"data\"} 10",
            "strongroom_disk_free_files{volume=\"audit\"} 7",
            "strongroom_disk_reserve_bytes{volume=\"data\"} 3",
            "strongroom_disk_reserve_limit_bytes{volume=\"data\"} 4",
            "strongroom_disk_writable{volume=\"data\"} 0",
            "strongroom_disk_writable{volume=\"audit\"} 1",
            "strongroom_storage_writable 0",
            "strongroom_storage_refused_total 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("strongroom_disk_free_files{volume=\"data\"}"));
    }
}
