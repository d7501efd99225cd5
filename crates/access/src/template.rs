//! Patterns and texts of policies that may have variables in them, such as `${aws:username}`.

use std::fmt;

use crate::error::StatementProblem;
use crate::key::{Key, Question};
use crate::wildcard::{Glyph, MAX_FLOATING_PIECE_CHARS, MAX_PATTERN_BYTES, Pattern};

/// How a policy's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// `*` and `?` are wildcards.
    Pattern,
    /// They are characters like others.
    Text,
}

/// A pattern or a text of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// Without variables.
    Fixed(Pattern),
    /// Filled in for each request.
    Varied(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Glyphs(Vec<Glyph>),
    Variable { key: Key, default: Option<String> },
}

/// Whether a text fits a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    No,
    /// A variable has neither value nor default, so nothing fits.
    Unknown,
    Yes,
}

impl From<bool> for Fit {
    fn from(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

impl Template {
    /// Reads a text in which variables may stand, if the document's version has them.
    pub(crate) fn parse(text: &str, reading: Reading, has_variables: bool) -> Result<Self, StatementProblem> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(StatementProblem::PatternTooLong { len_bytes: text.len(), max_bytes: MAX_PATTERN_BYTES });
        }
        if !text.contains("${") {
            return match reading {
                Reading::Pattern => Pattern::new(text).map(Self::Fixed),
                Reading::Text => Ok(Self::Fixed(Pattern::of(text.chars().map(Glyph::Char)))),
            };
        }
        if !has_variables {
            return Err(StatementProblem::VariableVersion(text.to_owned()));
        }
        let parts = parts(text, reading)?;
        if is_costly(&parts) {
            return Err(StatementProblem::PatternTooCostly(text.to_owned()));
        }
        // What is escaped is no variable: `${*}` is a star.
        match parts.as_slice() {
            [Part::Glyphs(glyphs)] => Ok(Self::Fixed(Pattern::of(glyphs.iter().copied()))),
            _ => Ok(Self::Varied(parts)),
        }
    }

    /// Whether all of the text fits, as it is filled in for this request.
    pub(crate) fn fits(&self, text: &str, question: &Question<'_>) -> Fit {
        match self {
            Self::Fixed(pattern) => pattern.matches(text).into(),
            // Most policies differ in what stands before the first variable: nothing needs to be put together then.
            Self::Varied(parts) if begins_otherwise(parts, text) => {
                if lacks_a_value(parts, question) {
                    Fit::Unknown
                } else {
                    Fit::No
                }
            }
            Self::Varied(parts) => match fill(parts, text.chars().count(), question) {
                Filled::Unknown => Fit::Unknown,
                Filled::TooLong => Fit::No,
                Filled::Glyphs(glyphs) => Pattern::of(glyphs).matches(text).into(),
            },
        }
    }

    /// The same of a template that was read as a text, whatever the case.
    pub(crate) fn fits_any_case(&self, text: &str, question: &Question<'_>) -> Fit {
        let lowered = text.to_lowercase();
        match self {
            Self::Fixed(pattern) => (pattern.to_string().to_lowercase() == lowered).into(),
            Self::Varied(parts) => match fill(parts, lowered.chars().count(), question) {
                Filled::Unknown => Fit::Unknown,
                Filled::TooLong => Fit::No,
                Filled::Glyphs(glyphs) => (written(&glyphs).to_lowercase() == lowered).into(),
            },
        }
    }

    /// Whether there is nothing in it but what it says.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(pattern) if pattern.is_fixed())
    }

    /// Whether it may match the folder, or what may lie in it.
    pub(crate) fn reaches_into(&self, folder: &str) -> bool {
        match self {
            Self::Fixed(pattern) => pattern.reaches_into(folder),
            Self::Varied(parts) => {
                let widest = parts.iter().flat_map(|part| match part {
                    Part::Glyphs(glyphs) => glyphs.clone(),
                    Part::Variable { .. } => vec![Glyph::Many],
                });
                Pattern::of(widest).reaches_into(folder)
            }
        }
    }

    /// The keys of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Key> {
        let parts = if let Self::Varied(parts) = self { parts.as_slice() } else { &[] };
        parts.iter().filter_map(|part| if let Part::Variable { key, .. } = part { Some(key) } else { None })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(pattern) => pattern.fmt(f),
            Self::Varied(parts) => parts.iter().try_for_each(|part| match part {
                Part::Glyphs(glyphs) => f.write_str(&written(glyphs)),
                Part::Variable { key, .. } => write!(f, "${{{key}}}"),
            }),
        }
    }
}

fn written(glyphs: &[Glyph]) -> String {
    glyphs.iter().map(Glyph::to_string).collect()
}

enum Filled {
    Glyphs(Vec<Glyph>),
    /// A variable has no value.
    Unknown,
    /// It takes more characters than there are.
    TooLong,
}

/// Whether the text cannot begin as the template does, whatever its variables are.
fn begins_otherwise(parts: &[Part], text: &str) -> bool {
    let Some(Part::Glyphs(glyphs)) = parts.first() else { return false };
    let mut chars = text.chars();
    !glyphs.iter().take_while(|glyph| **glyph != Glyph::Many).all(|glyph| match (glyph, chars.next()) {
        (Glyph::Char(wanted), char) => char == Some(*wanted),
        (_, char) => char.is_some(),
    })
}

fn lacks_a_value(parts: &[Part], question: &Question<'_>) -> bool {
    parts.iter().any(|part| matches!(part, Part::Variable { key, default: None } if question.values(key).single().is_none()))
}

/// The glyphs, with values in the places of the variables. A value is literal: what it has of `*` and `?` are characters.
fn fill(parts: &[Part], max_chars: usize, question: &Question<'_>) -> Filled {
    let (mut filled, mut count) = (Vec::new(), 0);
    for part in parts {
        match part {
            Part::Glyphs(glyphs) => {
                count += glyphs.iter().filter(|glyph| **glyph != Glyph::Many).count();
                filled.extend_from_slice(glyphs);
            }
            Part::Variable { key, default } => {
                let values = question.values(key);
                let Some(value) = values.single().or(default.as_deref()) else { return Filled::Unknown };
                let room = (max_chars + 1).saturating_sub(count);
                let before = filled.len();
                filled.extend(value.chars().take(room).map(Glyph::Char));
                count += filled.len() - before;
            }
        }
    }
    if count > max_chars { Filled::TooLong } else { Filled::Glyphs(filled) }
}

/// Whether a piece between two stars has both `?` and a variable, whose length nobody knows, or is too long.
fn is_costly(parts: &[Part]) -> bool {
    let (mut pieces, mut piece) = (Vec::new(), (0, false, false));
    for part in parts {
        match part {
            Part::Variable { .. } => piece.2 = true,
            Part::Glyphs(glyphs) => {
                for glyph in glyphs {
                    match glyph {
                        Glyph::Many => pieces.push(std::mem::take(&mut piece)),
                        Glyph::One => piece = (piece.0 + 1, true, piece.2),
                        Glyph::Char(_) => piece.0 += 1,
                    }
                }
            }
        }
    }
    // The first one and the last one have their places.
    let floating = pieces.iter().skip(1);
    floating.into_iter().any(|(chars, has_one, is_varied)| *has_one && (*is_varied || *chars > MAX_FLOATING_PIECE_CHARS))
}

/// What stands between variables, and the variables.
fn parts(text: &str, reading: Reading) -> Result<Vec<Part>, StatementProblem> {
    let (mut parts, mut glyphs, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        push(&mut glyphs, before, reading);
        let escaped = ['*', '?', '$'].into_iter().find_map(|char| Some((char, after.strip_prefix(char)?.strip_prefix('}')?)));
        if let Some((char, after)) = escaped {
            glyphs.push(Glyph::Char(char));
            rest = after;
            continue;
        }
        if !glyphs.is_empty() {
            parts.push(Part::Glyphs(std::mem::take(&mut glyphs)));
        }
        let (variable, after) = variable(after).ok_or_else(|| StatementProblem::VariableForm(text.to_owned()))?;
        parts.push(variable?);
        rest = after;
    }
    push(&mut glyphs, rest, reading);
    if !glyphs.is_empty() {
        parts.push(Part::Glyphs(glyphs));
    }
    Ok(parts)
}

fn push(glyphs: &mut Vec<Glyph>, text: &str, reading: Reading) {
    match reading {
        Reading::Pattern => glyphs.extend(Glyph::of(text)),
        Reading::Text => glyphs.extend(text.chars().map(Glyph::Char)),
    }
}

/// The variable whose name begins here, and what follows its brace: `KEY}` or `KEY, 'default'}`.
fn variable(text: &str) -> Option<(Result<Part, StatementProblem>, &str)> {
    let end = text.find([',', '}'])?;
    let name = text[..end].trim();
    let (default, after) = match text[end..].strip_prefix(',') {
        None => (None, &text[end + 1..]),
        Some(rest) => {
            let (default, rest) = rest.trim_start().strip_prefix('\'')?.split_once('\'')?;
            (Some(default.to_owned()), rest.trim_start().strip_prefix('}')?)
        }
    };
    let part = match Key::parse(name) {
        None => Err(StatementProblem::UnknownKey(name.to_owned())),
        Some(key) if key.is_a_list() => Err(StatementProblem::VariableOfList(name.to_owned())),
        Some(key) => Ok(Part::Variable { key, default }),
    };
    Some((part, after))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
