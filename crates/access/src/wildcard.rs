//! Matching with `*` (any characters, or none) and `?` (one character), in time linear in the text.

use std::fmt;

use crate::error::StatementProblem;

/// Longer than any resource: a key has 1,024 bytes, a bucket 63.
const MAX_PATTERN_BYTES: usize = 2048;
/// Bounds the search for a piece with `?`, which takes the text's length times this. One without is searched in linear time.
const MAX_FLOATING_PIECE_CHARS: usize = 64;

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
pub(crate) struct Piece {
    text: String,
    has_question_mark: bool,
}

impl Pattern {
    /// Refuses patterns that are too long to match in bounded time.
    pub(crate) fn new(text: &str) -> Result<Self, StatementProblem> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(StatementProblem::PatternTooLong { len_bytes: text.len(), max_bytes: MAX_PATTERN_BYTES });
        }
        let Some((front, rest)) = text.split_once('*') else { return Ok(Self::Whole(Piece::new(text))) };
        let (between, back) = rest.rsplit_once('*').unwrap_or(("", rest));
        let floating: Vec<_> = between.split('*').filter(|piece| !piece.is_empty()).map(Piece::new).collect();
        if floating.iter().any(|piece| piece.has_question_mark && piece.text.chars().count() > MAX_FLOATING_PIECE_CHARS) {
            return Err(StatementProblem::PatternTooCostly(text.to_owned()));
        }
        Ok(Self::Starred { front: Piece::new(front), floating, back: Piece::new(back) })
    }

    /// Whether there is nothing in it but what it says.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Self::Whole(piece) if !piece.has_question_mark)
    }

    /// Whether it matches the folder, or what may lie in it.
    pub(crate) fn reaches_into(&self, folder: &str) -> bool {
        let below = match self {
            Self::Whole(piece) => piece.strip_begin(folder).is_some_and(|rest| rest.starts_with('/')),
            // A star may stand for all that is missing, so what is before the first one decides.
            Self::Starred { front, .. } => {
                front.fits_begin_of(folder) || front.strip_begin(folder).is_some_and(|rest| rest.starts_with('/'))
            }
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
            Self::Whole(piece) => f.write_str(&piece.text),
            Self::Starred { front, floating, back } => {
                write!(f, "{}*", front.text)?;
                floating.iter().try_for_each(|piece| write!(f, "{}*", piece.text))?;
                f.write_str(&back.text)
            }
        }
    }
}

impl Piece {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), has_question_mark: text.contains('?') }
    }

    /// What of the piece follows a beginning that matches all of the text.
    fn strip_begin(&self, text: &str) -> Option<&str> {
        let mut rest = self.text.chars();
        text.chars().all(|found| rest.next().is_some_and(|wanted| fits(wanted, found))).then_some(rest.as_str())
    }

    /// Whether the text begins with the piece.
    fn fits_begin_of(&self, text: &str) -> bool {
        self.strip_front(text).is_some()
    }

    /// What follows the piece at the front of the text.
    fn strip_front<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.has_question_mark {
            return text.strip_prefix(&self.text);
        }
        let mut rest = text.chars();
        self.text.chars().all(|wanted| rest.next().is_some_and(|found| fits(wanted, found))).then_some(rest.as_str())
    }

    /// What precedes the piece at the end of the text.
    fn strip_back<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.has_question_mark {
            return text.strip_suffix(&self.text);
        }
        let mut rest = text.chars();
        self.text.chars().rev().all(|wanted| rest.next_back().is_some_and(|found| fits(wanted, found))).then_some(rest.as_str())
    }

    /// What follows the leftmost place of the piece in the text.
    fn skip_past<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.has_question_mark {
            return text.find(&self.text).map(|at| &text[at + self.text.len()..]);
        }
        text.char_indices().find_map(|(at, _)| self.strip_front(&text[at..]))
    }
}

fn fits(wanted: char, found: char) -> bool {
    wanted == '?' || wanted == found
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
