#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicUsize;

use tempfile::TempDir;

use super::*;

const FREE: Free = Free { bytes: 0, total_bytes: 1 << 30, files: None, total_files: None, is_read_only: false };

/// A reserve of which so much is there, and which has so many spares.
#[derive(Default)]
struct Fake {
    held_bytes: AtomicU64,
    spares: AtomicUsize,
}

impl Reserve for Fake {
    fn fill(&self) -> io::Result<Kept> {
        Ok(Kept { held_bytes: self.held_bytes.load(Ordering::Relaxed), wanted_bytes: 10 })
    }

    fn give(&self) -> bool {
        self.spares.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

fn volume(dir: &TempDir, margin_bytes: u64, reserves: Vec<Arc<dyn Reserve>>) -> Volume {
    Volume { name: "data", dir: dir.path().to_owned(), margin_bytes, reserves }
}

#[tokio::test]
async fn what_is_admitted_between_two_looks_counts() {
    let dir = tempfile::tempdir().unwrap();
    let space = Arc::new(Space::new(vec![volume(&dir, 0, Vec::new())]));
    space.look().await;
    assert_eq!(space.condition(), Condition::Open);
    space.left_bytes.store(1000, Ordering::Relaxed);
    for _ in 0..3 {
        space.admit(Some(300)).unwrap();
    }
    assert!(matches!(space.admit(Some(101)), Err(Error::StorageFull)));
    assert!(matches!(space.admit(Some(u64::MAX)), Err(Error::StorageFull)));
    space.admit(Some(100)).unwrap();
    space.admit(None).unwrap();
    assert_eq!(space.refused(), 2);
}

#[test]
fn without_a_disk_to_look_at_everything_is_admitted() {
    Space::default().admit(Some(u64::MAX)).unwrap();
}

#[tokio::test]
async fn uploads_are_refused_while_the_reserve_is_not_whole() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Arc::new(Fake::default()));
    let space = Arc::new(Space::new(vec![volume(&dir, 0, vec![Arc::clone(&fake) as _])]));
    for (held, condition) in [(9, Condition::Full), (10, Condition::Open), (0, Condition::Full)] {
        fake.held_bytes.store(held, Ordering::Relaxed);
        space.look().await;
        assert_eq!(space.condition(), condition, "{held} of 10 bytes");
        assert_eq!(space.admit(None).is_ok(), condition == Condition::Open);
    }
}

#[test]
fn a_disk_that_was_full_needs_twice_as_much_room_before_uploads_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(&dir, 100, Vec::new());
    let is_full = |bytes, files: u64, before| {
        let free = Free { bytes, files: Some(files), total_files: Some(1 << 20), ..FREE };
        volume.is_full(&free, Kept::default(), before)
    };
    assert!(!is_full(100, 64, Condition::Open));
    assert!(is_full(99, 64, Condition::Open) && is_full(100, 63, Condition::Open));
    assert!(is_full(199, 128, Condition::Full) && is_full(200, 127, Condition::Full));
    assert!(!is_full(200, 128, Condition::Full));
}

#[test]
fn a_small_disk_may_have_few_files() {
    let dir = tempfile::tempdir().unwrap();
    let free = Free { bytes: 1000, files: Some(10), total_files: Some(320), ..FREE };
    assert!(!volume(&dir, 100, Vec::new()).is_full(&free, Kept::default(), Condition::Open));
}

#[tokio::test(start_paused = true)]
async fn many_writes_without_room_take_one_spare_after_the_other_and_end_when_there_is_none() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Arc::new(Fake::default()));
    fake.spares.store(2, Ordering::Relaxed);
    let space = Arc::new(Space::new(vec![volume(&dir, 0, vec![Arc::clone(&fake) as _])]));
    for left in [1, 0] {
        for _ in 0..20 {
            assert!(space.give().await);
        }
        assert_eq!(fake.spares.load(Ordering::Relaxed), left);
        tokio::time::advance(2 * GIVE_INTERVAL).await;
    }
    assert!(!space.give().await);
}

#[tokio::test]
async fn a_disk_that_cannot_be_looked_at_counts_as_failing() {
    let dir = tempfile::tempdir().unwrap();
    let space = Arc::new(Space::new(vec![Volume { dir: dir.path().join("missing"), ..volume(&dir, 0, Vec::new()) }]));
    space.look().await;
    assert_eq!(space.condition(), Condition::Failing);
    assert!(matches!(space.admit(None), Err(Error::StorageFailing)));
}

#[tokio::test]
async fn a_failure_that_no_disk_explains_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let space = Arc::new(Space::new(vec![volume(&dir, 0, Vec::new())]));
    assert!(matches!(space.explained(Error::Internal("a bad block".into())).await, Error::Internal(_)));
    assert!(matches!(space.explained(Error::StorageFull).await, Error::StorageFull));
    assert!(matches!(space.explained(Error::NoSuchKey).await, Error::NoSuchKey));
    assert_eq!(space.condition(), Condition::Open);
}
