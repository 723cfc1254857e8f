//! Splits a text that is too long for one call into chunks, and groups the chunks'
//! results. One call joins the results of a group.

/// The version of the rules by which texts are split and results are grouped. It is part of
/// the keys of chunk results: a result of another rule is never reused. A change of a rule
/// raises the version, and a test of this module shows the change.
pub const SPLITTING_VERSION: u32 = 1;

/// The separators after which a text is cut, the best first: paragraph, line, word.
const SEPARATORS: [&str; 3] = ["\n\n", "\n", " "];

/// The longest character in UTF-8, in bytes.
const CHARACTER_MAX_BYTES: usize = 4;

/// Splits a text into at most `max_chunks` chunks of at most `max_bytes` bytes each.
/// The concatenated chunks equal the text. `None` if the text does not fit.
///
/// A chunk is at least half full, which limits the number of chunks. In its second
/// half, a chunk ends after a paragraph, else after a line, a word, or a character.
pub fn split_text(text: &str, max_bytes: usize, max_chunks: usize) -> Option<Vec<&str>> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while rest.len() > max_bytes {
        let chunks_left = max_chunks.checked_sub(chunks.len() + 1)?;
        // The remaining text must fit the remaining chunks, even if each of them must
        // end before a split character.
        let fits_after = chunks_left.saturating_mul(max_bytes.saturating_sub(CHARACTER_MAX_BYTES - 1));
        let least = (max_bytes / 2).max(rest.len().saturating_sub(fits_after));
        let (chunk, after) = rest.split_at(find_cut(rest, least, max_bytes)?);
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    (chunks.len() <= max_chunks).then_some(chunks)
}

/// The best position to cut, between `least` and `most` bytes; `most` if there is no
/// separator. `None` if the first character is longer than `most`.
fn find_cut(text: &str, least: usize, most: usize) -> Option<usize> {
    let most = text.floor_char_boundary(most);
    let least = text.ceil_char_boundary(least.max(1)).min(most);
    let window = &text[least..most];
    let cut = SEPARATORS.iter().find_map(|separator| Some(least + window.rfind(separator)? + separator.len()));
    Some(cut.unwrap_or(most)).filter(|cut| *cut > 0)
}

/// Groups results for the calls that join them, and returns the size of each group.
///
/// `sizes` are the sizes of the results in bytes, and groups keep their order. A group
/// has as many results as fit `max_bytes`, and at least two. There are therefore at
/// most half as many groups as results.
pub fn group_results(sizes: &[usize], max_bytes: usize) -> Vec<usize> {
    let mut groups: Vec<usize> = Vec::new();
    let mut filled = 0;
    for size in sizes {
        match groups.last_mut() {
            Some(count) if *count < 2 || filled + size <= max_bytes => {
                *count += 1;
                filled += size;
            }
            _ => {
                groups.push(1);
                filled = *size;
            }
        }
    }
    if let [.., before, 1] = groups[..] {
        groups.pop();
        *groups.last_mut().expect("the pattern has a group before the last") = before + 1;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_version_names_the_rules() {
        let words = ["lease", "of", "unit", "7,", "to", "Ms Őry\n", "in\n\n", "租金 "];
        let mut random = fastrand::Rng::with_seed(11);
        let text: String = (0..4_000).map(|_| format!("{} ", words[random.usize(..words.len())])).collect();
        let lengths: Vec<usize> = split_text(&text, 900, 64).unwrap().iter().map(|chunk| chunk.len()).collect();
        let sizes: Vec<usize> = (0..40).map(|_| random.usize(10..400)).collect();
        let groups = group_results(&sizes, 900);
        let found = crate::domain::document::sha256_hex(format!("{lengths:?} {groups:?}").as_bytes());
        // If this fails, the rules changed: raise SPLITTING_VERSION, then correct the hash.
        assert_eq!((SPLITTING_VERSION, &found[..16]), (1, "940a162aa10d3ac8"));
    }

    #[test]
    fn chunks_keep_every_byte_within_limit() {
        const PIECES: [&str; 8] =
            ["a", "word ", "\n", "\n\n", "é", "租金", "🏠", "a line of some length, and a stop.\n"];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3_000 {
            let text: String = (0..random.usize(0..400)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
            let (max_bytes, max_chunks) = (random.usize(1..200), random.usize(1..40));
            let Some(chunks) = split_text(&text, max_bytes, max_chunks) else {
                // A character of four bytes may leave three bytes of each chunk unused.
                assert!(text.len() > max_chunks * max_bytes.saturating_sub(3), "{max_bytes} {max_chunks} {text:?}");
                continue;
            };
            assert_eq!(chunks.concat(), text);
            assert!(chunks.len() <= max_chunks && chunks.iter().all(|chunk| chunk.len() <= max_bytes));
            assert!(chunks.len() == 1 || chunks.iter().all(|chunk| !chunk.is_empty()));
        }
    }

    #[test]
    fn chunk_ends_after_paragraph_line_or_word() {
        let first_chunk = |text: &'static str| split_text(text, 16, 8).unwrap()[0];
        assert_eq!(first_chunk("ten bytes.\n\nmore\nto come"), "ten bytes.\n\n");
        assert_eq!(first_chunk("ten bytes.\nmore to come"), "ten bytes.\n");
        assert_eq!(first_chunk("ten bytes, more to come"), "ten bytes, more ");
        assert_eq!(first_chunk("elevenbytesandmoretocome"), "elevenbytesandmo");
        assert_eq!(first_chunk("a\n\nparagraph that begins early"), "a\n\nparagraph ", "a chunk is at least half full");
        assert_eq!(first_chunk("ééééééééééé"), "éééééééé");
    }

    #[test]
    fn largest_text_fills_every_chunk() {
        let text = "one\n\n".repeat(64);
        assert_eq!(split_text(&text, 10, 32).unwrap().len(), 32);
        assert_eq!(split_text(&(text + "x"), 10, 32), None);
        assert_eq!(split_text("short", 10, 32), Some(vec!["short"]));
    }

    #[test]
    fn result_group_has_at_least_two_results() {
        assert_eq!(group_results(&[10; 5], 100), [5]);
        assert_eq!(group_results(&[10; 5], 20), [2, 3]);
        assert_eq!(group_results(&[30; 4], 20), [2, 2]);
        assert_eq!(group_results(&[30, 1, 1, 30, 1], 32), [3, 2]);
        for count in 2..=40 {
            for max_bytes in [1, 25, 40, 1_000] {
                let groups = group_results(&vec![10; count], max_bytes);
                assert_eq!(groups.iter().sum::<usize>(), count);
                assert!(groups.len() <= count / 2 && groups.iter().all(|group| *group >= 2));
            }
        }
    }
}
