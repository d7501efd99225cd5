//! FIFOs, sockets, links, devices and directories in a file's place. Each is tried on a thread of its own, so that
//! code that hangs fails the test.
#![allow(clippy::unwrap_used)]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// What `work` returns, if it returns in time.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    std::thread::spawn(move || answer.send(work()));
    answered.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{what}: it hangs"))
}

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
}

/// Everything that is no regular file, by name.
fn irregular(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    let [pipe, socket, directory] = ["pipe", "socket", "directory"].map(|name| dir.join(name));
    fifo(&pipe);
    drop(UnixListener::bind(&socket).unwrap());
    std::fs::create_dir(&directory).unwrap();
    let devices = ["/dev/zero", "/dev/null", "/dev/tty"].map(|path| ("device", PathBuf::from(path)));
    [("FIFO", pipe), ("socket", socket), ("directory", directory)].into_iter().chain(devices).collect()
}

#[test]
fn what_is_no_regular_file_is_refused_at_once_however_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in irregular(dir.path()) {
        for links in [Links::Follow, Links::Refuse] {
            for (read, write, create) in [(true, false, false), (false, true, false), (true, true, false), (false, true, true)] {
                let path = path.clone();
                let opened = in_time(name, move || {
                    let mut options = OpenOptions::new();
                    open_with(options.read(read).write(write).create(create).truncate(false), &path, links)
                });
                assert!(matches!(opened, Err(FileError::NotRegular)), "{name}, {links:?}, {read} {write} {create}: {opened:?}");
            }
        }
    }
}

#[test]
fn a_link_is_followed_to_a_regular_file_alone_and_only_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let link = dir.path().join("link");
    symlink(&file, &link).unwrap();
    assert_eq!(*read_text(&link, Links::Follow, 4).unwrap(), "text");
    assert!(matches!(read(&link, Links::Refuse, 4), Err(FileError::Link)));
    for (name, path) in irregular(dir.path()) {
        let link = dir.path().join(format!("to-{}", path.file_name().unwrap().to_string_lossy()));
        symlink(&path, &link).unwrap();
        let read = in_time(name, move || (read(&link, Links::Follow, 4), read(&link, Links::Refuse, 4)));
        assert!(matches!(read, (Err(FileError::NotRegular), Err(FileError::Link))), "{name}: {read:?}");
    }
    let dangling = dir.path().join("dangling");
    symlink(dir.path().join("nothing"), &dangling).unwrap();
    assert!(matches!(read(&dangling, Links::Follow, 4), Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
    assert!(matches!(read(&dangling, Links::Refuse, 4), Err(FileError::Link)));
    let created = open_with(OpenOptions::new().write(true).create(true), &dangling, Links::Refuse);
    assert!(matches!(created, Err(FileError::Link)), "{created:?}");
    assert!(!dir.path().join("nothing").exists(), "nothing is made where a link points");
}

/// The story: between the look and the opening, a FIFO takes the file's place. No look can exclude that, so the opening
/// itself must not wait.
#[test]
fn what_takes_a_files_place_after_the_look_does_not_hang_either() {
    let dir = tempfile::tempdir().unwrap();
    let (path, pipe) = (dir.path().join("file"), dir.path().join("pipe"));
    fifo(&pipe);
    std::fs::write(&path, "text").unwrap();
    let raced = path.clone();
    let (stop, stopped) = mpsc::channel::<()>();
    let swapper = std::thread::spawn(move || {
        // Exchanged for as long as the opening thread works.
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            rustix::fs::renameat_with(rustix::fs::CWD, &raced, rustix::fs::CWD, &pipe, rustix::fs::RenameFlags::EXCHANGE).unwrap();
        }
    });
    let (opened, refused) = in_time("exchanged", move || {
        let (mut opened, mut refused) = (0, 0);
        while opened < 100 || refused < 100 {
            match open(&path, Links::Refuse) {
                Ok(_) => opened += 1,
                Err(FileError::NotRegular) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (opened, refused)
    });
    stop.send(()).unwrap();
    swapper.join().unwrap();
    assert!(opened >= 100 && refused >= 100);
}

#[test]
fn a_file_longer_than_the_bound_is_refused_and_one_of_exactly_that_length_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (len, fits) in [(0, true), (1000, true), (1001, false), (1 << 20, false)] {
        std::fs::write(&path, vec![b'x'; len]).unwrap();
        match read(&path, Links::Follow, 1000) {
            Ok(bytes) => assert!(fits && bytes.len() == len),
            Err(error) => assert!(!fits && error.to_string() == "it is longer than 1000 bytes", "{len}: {error}"),
        }
    }
    // A file whose length the system does not tell: the bound holds all the same.
    assert!(matches!(read(Path::new("/proc/self/maps"), Links::Follow, 100), Err(FileError::TooLong { max_len_bytes: 100 })));
}

#[test]
fn bytes_that_are_no_text_are_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    std::fs::write(&path, b"ab\xff").unwrap();
    assert!(matches!(read_text(&path, Links::Follow, 10), Err(FileError::NotText)));
}

#[test]
fn a_file_that_is_missing_or_forbidden_keeps_the_systems_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |error: FileError| io::Error::from(error).kind();
    assert_eq!(kind(open(&dir.path().join("none"), Links::Refuse).unwrap_err()), io::ErrorKind::NotFound);
    assert_eq!(kind(open(&dir.path().join("none/below"), Links::Follow).unwrap_err()), io::ErrorKind::NotFound);
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o000)).unwrap();
    // Root may read it all the same.
    if let Err(error) = open(&file, Links::Refuse) {
        assert_eq!(kind(error), io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn a_directory_is_synced_and_nothing_else_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    sync_dir(dir.path()).unwrap();
    for (name, path) in irregular(dir.path()).into_iter().filter(|(name, _)| *name != "directory") {
        let synced = in_time(name, move || sync_dir(&path));
        assert_eq!(synced.unwrap_err().kind(), io::ErrorKind::NotADirectory, "{name}");
    }
}
