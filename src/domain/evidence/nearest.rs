//! A passage that is similar to a quote: most of its words are there, in their order.

use std::collections::HashMap;

use super::folded::{Hyphens, fold};

/// Fewer words are similar by coincidence.
const WORDS_MIN: usize = 4;
/// The part of a quote's rare words that a similar passage has, in percent.
const SHARE_MIN: usize = 70;
/// Places of one word that are looked at. A more frequent word is ignored.
const PLACES_MAX: usize = 64;
/// Words by which a similar passage may be longer or shorter at one place.
const SHIFT: usize = 4;

/// The words of a text.
#[derive(Debug)]
pub(super) struct Words {
    /// The first byte of each word, and the byte after it.
    places: Vec<(usize, usize)>,
    by_word: HashMap<String, Vec<usize>>,
}

impl Words {
    pub fn new(text: &str) -> Self {
        let mut places = Vec::new();
        let mut by_word: HashMap<String, Vec<usize>> = HashMap::new();
        for (start, word) in words(text) {
            let numbers = by_word.entry(fold(word, Hyphens::Join)).or_default();
            if numbers.len() <= PLACES_MAX {
                numbers.push(places.len());
            }
            places.push((start, start + word.len()));
        }
        Self { places, by_word }
    }

    /// The bytes of the most similar passage; `None` if none is similar.
    pub fn nearest(&self, quote: &str) -> Option<(usize, usize)> {
        let quoted: Vec<String> = words(quote).map(|(_, word)| fold(word, Hyphens::Join)).collect();
        if quoted.len() < WORDS_MIN {
            return None;
        }
        // Words of the same passage have about the same distance to their places in the quote.
        let mut votes: HashMap<usize, usize> = HashMap::new();
        let mut rare = 0;
        for (index, word) in quoted.iter().enumerate() {
            let numbers = self.by_word.get(word).map_or(&[][..], Vec::as_slice);
            if numbers.len() > PLACES_MAX {
                continue;
            }
            rare += 1;
            for number in numbers {
                let begin = (number + quoted.len() - index) / SHIFT;
                *votes.entry(begin).or_default() += 1;
                *votes.entry(begin + 1).or_default() += 1;
            }
        }
        let (begin, count) = votes.into_iter().max_by_key(|(begin, count)| (*count, usize::MAX - begin))?;
        if count < WORDS_MIN || count * 100 < rare * SHARE_MIN {
            return None;
        }
        let first = (begin * SHIFT).saturating_sub(quoted.len() + SHIFT / 2).min(self.places.len() - 1);
        let last = (first + quoted.len() - 1).min(self.places.len() - 1);
        Some((self.places[first].0, self.places[last].1))
    }
}

/// The words of a text with their first bytes.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric();
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_part)?;
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |length| start + length);
        rest = end;
        Some((start, &text[start..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_quote_is_near_its_passage() {
        let filler = "Every clause of this lease binds the heirs of both parties. ".repeat(40);
        let passage = "The tenant pays a rent of 900 euros for the flat in Mill Lane by the third working day";
        let text = format!("{filler}{passage}. {filler}");
        let words = Words::new(&text);
        let changed = passage.replace("900", "800").replace("third", "fifth");
        let (start, end) = words.nearest(&changed).expect("a similar passage");
        let found = &text[start..end];
        assert!(found.contains("pays a rent of 900 euros for the flat"), "{found}");
        assert_eq!(words.nearest("A quick brown fox jumps over the lazy dog near the river"), None);
        assert_eq!(words.nearest("The tenant pays"), None);
        assert_eq!(Words::new("").nearest("one two three four five"), None);
    }
}
