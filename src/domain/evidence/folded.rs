//! The folded form of a text: without the differences that change no meaning.

use unicode_normalization::char::{compose, is_combining_mark};

/// The treatment of a hyphen at the end of a line, within a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hyphens {
    /// It only divided the word: `ten-⏎ant` is `tenant`.
    Join,
    /// It belongs to the word: `non-⏎exclusive` is `non-exclusive`.
    Keep,
}

/// A folded text, with the place of each byte in the original.
#[derive(Debug)]
pub(super) struct Folded {
    pub text: String,
    /// For each byte: the first byte of the original character, and the byte after it.
    places: Vec<(u32, u32)>,
}

impl Folded {
    /// Folds a text, which must have fewer bytes than `u32` holds.
    pub fn new(text: &str, hyphens: Hyphens) -> Self {
        let (mut folded, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
        each_folded(text, hyphens, |c, start, end| {
            folded.push(c);
            let place = (u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(end).unwrap_or(u32::MAX));
            places.extend(std::iter::repeat_n(place, c.len_utf8()));
        });
        Self { text: folded, places }
    }

    /// The bytes of the original for a range of the folded text that is not empty.
    pub fn original(&self, start: usize, end: usize) -> (usize, usize) {
        (self.places[start].0 as usize, self.places[end - 1].1 as usize)
    }
}

/// Folds a short text.
pub(super) fn fold(text: &str, hyphens: Hyphens) -> String {
    let mut folded = String::with_capacity(text.len());
    each_folded(text, hyphens, |c, _, _| folded.push(c));
    folded
}

/// Calls `emit` with each folded character and the bytes of its original.
fn each_folded(text: &str, hyphens: Hyphens, mut emit: impl FnMut(char, usize, usize)) {
    let mut chars = text.char_indices().peekable();
    let (mut has_space, mut before) = (true, ' ');
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        if c.is_whitespace() {
            if !has_space {
                emit(' ', start, end);
                (has_space, before) = (true, ' ');
            }
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if is_hyphen(c)
            && before.is_alphabetic()
            && let Some(length) = line_end(&text[end..])
        {
            if hyphens == Hyphens::Keep {
                emit('-', start, end);
                before = '-';
            }
            while chars.next_if(|(at, _)| *at < end + length).is_some() {}
            continue;
        }
        let mut folded = c;
        while let Some((at, mark)) = chars.next_if(|(_, next)| is_combining_mark(*next)) {
            folded = compose(folded, mark).unwrap_or(folded);
            end = at + mark.len_utf8();
        }
        (has_space, before) = (false, folded);
        match spell(folded) {
            Some(spelt) => spelt.chars().for_each(|c| emit(c, start, end)),
            None => folded.to_lowercase().for_each(|c| emit(c, start, end)),
        }
    }
}

/// The bytes of white space with one line break before a word that continues; `None` for other
/// texts.
fn line_end(text: &str) -> Option<usize> {
    let rest = text.trim_start();
    let space = &text[..text.len() - rest.len()];
    let continues = rest.chars().next().is_some_and(char::is_lowercase);
    (continues && space.matches('\n').count() == 1).then_some(space.len())
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}') || c.is_control()
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}')
}

/// The plain spelling of ligatures, quotes and dashes.
fn spell(c: char) -> Option<&'static str> {
    Some(match c {
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        '‘' | '’' | '‚' | '‛' | 'ʼ' | '`' | '´' | '‹' | '›' | '′' => "'",
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => "\"",
        '\u{2010}'..='\u{2015}' | '−' => "-",
        '…' => "...",
        // The capital form of both is `SS`.
        'ß' | 'ẞ' => "ss",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_without_meaning_are_folded() {
        for (text, joined, kept) in [
            ("The  Tenant\n\tpays", "the tenant pays", "the tenant pays"),
            (
                "the ten-\nant and the non-\n exclusive",
                "the tenant and the nonexclusive",
                "the ten-ant and the non-exclusive",
            ),
            ("the oﬃce’s “ﬁle” – 5−3…", "the office's \"file\" - 5-3...", "the office's \"file\" - 5-3..."),
            ("Mu\u{308}ller\u{ad}straße\u{a0}7\u{feff}", "müllerstrasse 7", "müllerstrasse 7"),
            ("10-\n20 and A-\n\nb and Nord-\nOst", "10- 20 and a- b and nord- ost", "10- 20 and a- b and nord- ost"),
        ] {
            assert_eq!((fold(text, Hyphens::Join).as_str(), fold(text, Hyphens::Keep).as_str()), (joined, kept));
        }
    }

    #[test]
    fn every_byte_knows_its_place_in_the_original() {
        let text = "  Der Mu\u{308}ller-\nmeister zahlt \u{201e}900\u{201c}  Euro.";
        let folded = Folded::new(text, Hyphens::Join);
        assert_eq!(folded.text, "der müllermeister zahlt \"900\" euro.");
        for (wanted, original) in
            [("müllermeister", "Mu\u{308}ller-\nmeister"), ("\"900\" euro", "\u{201e}900\u{201c}  Euro")]
        {
            let at = folded.text.find(wanted).unwrap();
            let (start, end) = folded.original(at, at + wanted.len());
            assert_eq!(&text[start..end], original);
        }
    }
}
