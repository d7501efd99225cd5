//! Matching with `*` (any characters, or none) and `?` (one character), in time linear in the text.

use std::fmt;

use crate::error::StatementProblem;

/// Longer than any resource: a key has 1,024 bytes, a bucket 63.
pub(crate) const MAX_PATTERN_BYTES: usize = 2048;
/// Bounds the search for a piece with `?`, which takes the text's length times this. One without is searched in linear time.
pub(crate) const MAX_FLOATING_PIECE_CHARS: usize = 64;

/// What a pattern is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    /// This very character.
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Without `*`.
    Whole(Piece),
    /// The pieces around the first and the last `*`, and those between, none of them empty.
    Starred { front: Piece, floating: Vec<Piece>, back: Piece },
}

/// What stands between two `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Without `?`.
    Text(String),
    /// None where any character may stand.
    Masked(Vec<Option<char>>),
}

impl Glyph {
    /// Those of a pattern as it is written.
    pub(crate) fn of(text: &str) -> impl Iterator<Item = Self> {
        text.chars().map(|char| match char {
            '*' => Self::Many,
            '?' => Self::One,
            char => Self::Char(char),
        })
    }
}

impl fmt::Display for Glyph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char(char) => write!(f, "{char}"),
            Self::One => f.write_str("?"),
            Self::Many => f.write_str("*"),
        }
    }
}

impl Pattern {
    /// Refuses patterns that are too long to match in bounded time.
    pub(crate) fn new(text: &str) -> Result<Self, StatementProblem> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(StatementProblem::PatternTooLong { len_bytes: text.len(), max_bytes: MAX_PATTERN_BYTES });
        }
        let pattern = Self::of(Glyph::of(text));
        let costly = |piece: &Piece| matches!(piece, Piece::Masked(chars) if chars.len() > MAX_FLOATING_PIECE_CHARS);
        match &pattern {
            Self::Starred { floating, .. } if floating.iter().any(costly) => Err(StatementProblem::PatternTooCostly(text.to_owned())),
            _ => Ok(pattern),
        }
    }

    /// Of glyphs whose number and cost the caller has bounded.
    pub(crate) fn of(glyphs: impl IntoIterator<Item = Glyph>) -> Self {
        let mut pieces = vec![Piece::Text(String::new())];
        for glyph in glyphs {
            match (glyph, pieces.last_mut()) {
                (Glyph::Char(char), Some(piece)) => piece.push(Some(char)),
                (Glyph::One, Some(piece)) => piece.push(None),
                (Glyph::Many, _) | (_, None) => pieces.push(Piece::Text(String::new())),
            }
        }
        let back = pieces.pop().unwrap_or(Piece::Text(String::new()));
        if pieces.is_empty() {
            return Self::Whole(back);
        }
        let front = pieces.remove(0);
        pieces.retain(|piece| !piece.is_empty());
        Self::Starred { front, floating: pieces, back }
    }

    /// Whether there is nothing in it but what it says.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Self::Whole(Piece::Text(_)))
    }

    /// Whether it matches the folder, or what may lie in it.
    pub(crate) fn reaches_into(&self, folder: &str) -> bool {
        let below = match self {
            Self::Whole(piece) => piece.goes_on_below(folder),
            // A star may stand for all that is missing, so what is before the first one decides.
            Self::Starred { front, .. } => front.strip_front(folder).is_some() || front.goes_on_below(folder),
        };
        below || self.matches(folder)
    }

    /// Whether all of the text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(piece) => piece.strip_front(text) == Some(""),
            Self::Starred { front, floating, back } => {
                let inner = front.strip_front(text).and_then(|rest| back.strip_back(rest));
                // The leftmost place for each piece leaves the most room for the next.
                floating.iter().try_fold(inner, |rest, piece| rest.map(|rest| piece.skip_past(rest))).flatten().is_some()
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(piece) => piece.fmt(f),
            Self::Starred { front, floating, back } => {
                write!(f, "{front}*")?;
                floating.iter().try_for_each(|piece| write!(f, "{piece}*"))?;
                back.fmt(f)
            }
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Masked(chars) => chars.iter().try_for_each(|wanted| write!(f, "{}", wanted.unwrap_or('?'))),
        }
    }
}

impl Piece {
    fn push(&mut self, wanted: Option<char>) {
        match (&mut *self, wanted) {
            (Self::Text(text), Some(char)) => text.push(char),
            (Self::Text(text), None) => *self = Self::Masked(text.chars().map(Some).chain([None]).collect()),
            (Self::Masked(chars), wanted) => chars.push(wanted),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Masked(chars) => chars.is_empty(),
        }
    }

    /// Whether a beginning of it matches all of the folder, and goes on with what may be a slash.
    fn goes_on_below(&self, folder: &str) -> bool {
        match self {
            Self::Text(text) => text.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            Self::Masked(chars) => {
                let mut rest = chars.iter();
                folder.chars().chain(['/']).all(|found| rest.next().is_some_and(|wanted| fits(*wanted, found)))
            }
        }
    }

    /// What follows the piece at the front of the text.
    fn strip_front<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(piece) => text.strip_prefix(piece),
            Self::Masked(chars) => {
                let mut rest = text.chars();
                chars.iter().all(|wanted| rest.next().is_some_and(|found| fits(*wanted, found))).then_some(rest.as_str())
            }
        }
    }

    /// What precedes the piece at the end of the text.
    fn strip_back<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(piece) => text.strip_suffix(piece),
            Self::Masked(chars) => {
                let mut rest = text.chars();
                chars.iter().rev().all(|wanted| rest.next_back().is_some_and(|found| fits(*wanted, found))).then_some(rest.as_str())
            }
        }
    }

    /// What follows the leftmost place of the piece in the text.
    fn skip_past<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(piece) => text.find(piece).map(|at| &text[at + piece.len()..]),
            Self::Masked(_) => text.char_indices().find_map(|(at, _)| self.strip_front(&text[at..])),
        }
    }
}

fn fits(wanted: Option<char>, found: char) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    /// The definition, word for word; exponential.
    fn model(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|skip| model(rest, &text[skip..])),
            ['?', rest @ ..] => !text.is_empty() && model(rest, &text[1..]),
            [wanted, rest @ ..] => text.first() == Some(wanted) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn matching_is_what_the_definition_says(pattern in "[abé*?]{0,8}", text in "[abé*?]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), model(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn the_pieces_do_not_overlap() {
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("ab*ba", "abba"));
        assert!(!matches("a*b*a", "aa"));
        assert!(matches("**", ""));
        assert!(matches("", "") && !matches("", "a") && !matches("?", ""));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let text = "a".repeat(1024);
        let pieces = ["*a?a".repeat(400), format!("*{}b", "a".repeat(2000)), format!("*{}b*", "a?".repeat(31))];
        let start = Instant::now();
        for pattern in &pieces {
            let pattern = Pattern::new(pattern).unwrap();
            for _ in 0..10 {
                assert!(!pattern.matches(&text));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(1), "30 matches took {:?}", start.elapsed());
    }

    #[test]
    fn a_pattern_beyond_the_bounds_is_refused() {
        assert!(Pattern::new(&"a".repeat(2048)).is_ok());
        assert!(matches!(Pattern::new(&"a".repeat(2049)), Err(StatementProblem::PatternTooLong { len_bytes: 2049, max_bytes: 2048 })));
        assert!(Pattern::new(&format!("*{}*", "?".repeat(64))).is_ok());
        assert!(matches!(Pattern::new(&format!("*{}*", "?".repeat(65))), Err(StatementProblem::PatternTooCostly(_))));
        assert!(Pattern::new(&"?".repeat(65)).is_ok());
    }
}
