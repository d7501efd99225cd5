//! The server's disks: how much is kept in reserve on each, and for what.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_audit::AuditLog;
use strongroom_catalog::SqliteCatalog;
use strongroom_engine::space::{Reserve, Space, Volume};
use strongroom_space::{Kept, Spares, look};

use crate::config::Settings;

const SPARES_DIR: &str = "reserve";
/// The reserve is at most an eighth of a disk.
const MAX_SHARE: u64 = 8;
/// It has four equal parts: the catalog's log, the catalog's growth, the audit log, and spare files.
const PARTS: u64 = 4;
/// Uploads are refused when less than an eighth of the reserve is free beside it, or less than this minimum.
const MARGIN_SHARE: u64 = 8;
const MIN_MARGIN_BYTES: u64 = 1 << 20;
/// What a start needs on a full disk: SQLite makes the catalog's log and shared memory again.
const START_BYTES: u64 = 512 << 10;
const START_FILES: u64 = 4;

/// How much of each disk is kept in reserve. Decided before anything is opened.
pub(super) struct Plan {
    data_dir: PathBuf,
    audit_dir: PathBuf,
    /// The reserve of the disk with the data, in bytes.
    data_bytes: u64,
    /// The reserve of the disk with the audit log, if that is another one.
    audit_bytes: Option<u64>,
    spares: Arc<Spares>,
}

impl Plan {
    /// Looks at the disks, and makes room for the start on a full one.
    pub(super) fn of(settings: &Settings) -> Self {
        let (data_dir, audit_dir) = (settings.data_dir.clone(), settings.audit.dir.clone());
        let wanted = settings.limits.disk_reserve_bytes;
        let data_bytes = share_of(&data_dir, wanted);
        let is_one = device(&data_dir).is_some_and(|data| device(&audit_dir) == Some(data));
        let audit_bytes = (!is_one).then(|| share_of(&audit_dir, wanted));
        let spares = Arc::new(Spares::new(data_dir.join(SPARES_DIR), data_bytes / PARTS));
        let given = spares.make_room(START_BYTES.min(data_bytes), START_FILES);
        if given > 0 {
            tracing::warn!(given, "the disk is full: spare files were removed so that the server can start. Free space");
        }
        Self { data_dir, audit_dir, data_bytes, audit_bytes, spares }
    }

    /// The length of the catalog's log, in bytes. None (its own default) if nothing is kept in reserve.
    pub(super) fn catalog_log_bytes(&self) -> Option<u32> {
        Some(u32::try_from(self.data_bytes / PARTS).unwrap_or(u32::MAX)).filter(|bytes| *bytes > 0)
    }

    /// What is kept in reserve for the audit log, in bytes.
    pub(super) fn audit_reserve_bytes(&self) -> u64 {
        self.audit_bytes.unwrap_or(self.data_bytes) / PARTS
    }

    /// The disks, to be watched.
    pub(super) fn space(&self, catalog: &Arc<SqliteCatalog>, audit: &Arc<AuditLog>) -> Space {
        let audit = Arc::new(AuditReserve(Arc::clone(audit)));
        let mut data: Vec<Arc<dyn Reserve>> = Vec::new();
        if self.data_bytes > 0 {
            data.push(Arc::new(CatalogReserve(Arc::clone(catalog))));
            data.push(Arc::new(SpareReserve(Arc::clone(&self.spares))));
        }
        let mut volumes = Vec::new();
        match self.audit_bytes {
            None => {
                data.push(audit);
                volumes.push(volume("data", &self.data_dir, self.data_bytes, data));
            }
            Some(bytes) => {
                volumes.push(volume("data", &self.data_dir, self.data_bytes, data));
                volumes.push(volume("audit", &self.audit_dir, bytes, vec![audit]));
            }
        }
        Space::new(volumes)
    }

    /// To be called after the catalog is closed. Keeps the room that its log gave up, so that the next start has it even on a full disk.
    pub(super) fn close(&self) {
        if let Err(error) = self.spares.fill() {
            tracing::warn!(%error, "spare files could not be made");
        }
    }
}

fn volume(name: &'static str, dir: &Path, reserve_bytes: u64, reserves: Vec<Arc<dyn Reserve>>) -> Volume {
    let margin_bytes = (reserve_bytes / MARGIN_SHARE).max(MIN_MARGIN_BYTES.min(reserve_bytes));
    Volume { name, dir: dir.to_owned(), margin_bytes, reserves }
}

fn share_of(dir: &Path, wanted: u64) -> u64 {
    look(dir).map_or(0, |disk| wanted.min(disk.total_bytes / MAX_SHARE))
}

fn device(dir: &Path) -> Option<u64> {
    dir.metadata().ok().map(|found| found.dev())
}

struct CatalogReserve(Arc<SqliteCatalog>);

impl Reserve for CatalogReserve {
    fn fill(&self) -> io::Result<Kept> {
        self.0.keep_room()
    }
}

struct SpareReserve(Arc<Spares>);

impl Reserve for SpareReserve {
    fn fill(&self) -> io::Result<Kept> {
        self.0.fill()
    }

    fn give(&self) -> bool {
        self.0.give()
    }
}

/// The audit log's writer fills this reserve itself.
struct AuditReserve(Arc<AuditLog>);

impl Reserve for AuditReserve {
    fn fill(&self) -> io::Result<Kept> {
        Ok(self.0.usage().reserve)
    }
}
