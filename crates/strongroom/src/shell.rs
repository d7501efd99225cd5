//! Text that people paste into a shell.

use std::borrow::Cow;
use std::path::Path;

/// The path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    let word = if path.bytes().all(is_plain) { Cow::clone(&path) } else { format!("'{}'", path.replace('\'', r"'\''")).into() };
    word.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for (path, word) in [("/srv/a-b.pem", "/srv/a-b.pem"), ("/srv/a b", "'/srv/a b'"), ("/it's", r"'/it'\''s'"), ("/$HOME", "'/$HOME'")]
        {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
