//! How many connections the limit of open files leaves room for.

use rustix::process::{Resource, getrlimit};

/// A connection's socket, and the blobs that its request reads or writes.
const PER_CONNECTION: u64 = 3;
/// The admin port, the catalog, the audit log, key servers, and what else is open.
const FOR_THE_REST: u64 = 320;

/// As many connections as wished, or fewer, with a warning, where there would be no descriptors for them.
pub(crate) fn affordable(wished: usize) -> usize {
    let Some(open_files) = getrlimit(Resource::Nofile).current else { return wished };
    let affordable = fitting(open_files);
    if affordable >= wished {
        return wished;
    }
    tracing::warn!(
        max_connections = wished,
        affordable,
        open_files,
        "the limit of open files is too low for max_connections: fewer are served. Raise it (ulimit -n, LimitNOFILE) to {}",
        needed(wished)
    );
    affordable
}

fn needed(connections: usize) -> u64 {
    FOR_THE_REST + PER_CONNECTION * connections as u64
}

fn fitting(open_files: u64) -> usize {
    usize::try_from((open_files.saturating_sub(FOR_THE_REST) / PER_CONNECTION).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_that_fit_need_no_more_descriptors_than_there_are() {
        for open_files in [1024, 4096, 1 << 20] {
            let fitting = fitting(open_files);
            assert!(needed(fitting) <= open_files && needed(fitting + 1) > open_files);
        }
        assert_eq!(fitting(4096), 1258, "the default of max_connections fits in the usual hard limit");
        assert_eq!(fitting(64), 1);
    }
}
