//! A text longer than one call takes, in parts; and the parts' results, in
//! groups of which each is joined by one call.

/// Where a text may be cut, the best first: after a paragraph, a line, a word.
const SEAMS: [&str; 3] = ["\n\n", "\n", " "];

/// Of one character in UTF-8.
const CHARACTER_MAX_BYTES: usize = 4;

/// Cuts a text into at most `max_chunks` parts of at most `max_bytes` each.
/// Together they are the text, to the byte. `None` when that cannot be.
///
/// A part is at least half full, so that the parts are not many; within that, it
/// ends after a paragraph, else after a line, a word, or a character.
pub fn split(text: &str, max_bytes: usize, max_chunks: usize) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > max_bytes {
        let chunks_left = max_chunks.checked_sub(parts.len() + 1)?;
        // What this part leaves must fit the parts that are left, though each
        // should end within a character.
        let fits_after = chunks_left.saturating_mul(max_bytes.saturating_sub(CHARACTER_MAX_BYTES - 1));
        let least = (max_bytes / 2).max(rest.len().saturating_sub(fits_after));
        let (part, after) = rest.split_at(cut(rest, least, max_bytes)?);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    (parts.len() <= max_chunks).then_some(parts)
}

/// The best place to cut, from `least` to `most` bytes into the text, or at
/// `most`. `None` when the first character is longer.
fn cut(text: &str, least: usize, most: usize) -> Option<usize> {
    let most = text.floor_char_boundary(most);
    let least = text.ceil_char_boundary(least.max(1)).min(most);
    let window = &text[least..most];
    let seam = SEAMS.iter().find_map(|seam| Some(least + window.rfind(seam)? + seam.len()));
    Some(seam.unwrap_or(most)).filter(|cut| *cut > 0)
}

/// Groups results of these sizes, in their order, for calls that join each
/// group: as many as `max_bytes` takes, but never one alone, so that there are
/// at most half as many groups as results. Gives how many are in each.
pub fn groups(sizes: &[usize], max_bytes: usize) -> Vec<usize> {
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
        *groups.last_mut().expect("there is one before") = before + 1;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost_and_no_part_is_over_the_limit() {
        const PIECES: [&str; 8] =
            ["a", "word ", "\n", "\n\n", "é", "租金", "🏠", "a line of some length, and a stop.\n"];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3_000 {
            let text: String = (0..random.usize(0..400)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
            let (max_bytes, max_chunks) = (random.usize(1..200), random.usize(1..40));
            let Some(parts) = split(&text, max_bytes, max_chunks) else {
                // A character of four bytes may cost each part three.
                assert!(text.len() > max_chunks * max_bytes.saturating_sub(3), "{max_bytes} {max_chunks} {text:?}");
                continue;
            };
            assert_eq!(parts.concat(), text);
            assert!(parts.len() <= max_chunks && parts.iter().all(|part| part.len() <= max_bytes));
            assert!(parts.len() == 1 || parts.iter().all(|part| !part.is_empty()));
        }
    }

    #[test]
    fn a_text_is_cut_where_it_is_least_harmed() {
        let first_of = |text: &'static str| split(text, 16, 8).unwrap()[0];
        assert_eq!(first_of("ten bytes.\n\nmore\nto come"), "ten bytes.\n\n");
        assert_eq!(first_of("ten bytes.\nmore to come"), "ten bytes.\n");
        assert_eq!(first_of("ten bytes, more to come"), "ten bytes, more ");
        assert_eq!(first_of("elevenbytesandmoretocome"), "elevenbytesandmo");
        assert_eq!(first_of("a\n\nparagraph that begins early"), "a\n\nparagraph ", "a part is at least half full");
        assert_eq!(first_of("ééééééééééé"), "éééééééé");
    }

    #[test]
    fn the_largest_text_is_as_many_full_parts_and_not_a_byte_more() {
        let text = "one\n\n".repeat(64);
        assert_eq!(split(&text, 10, 32).unwrap().len(), 32);
        assert_eq!(split(&(text + "x"), 10, 32), None);
        assert_eq!(split("short", 10, 32), Some(vec!["short"]));
    }

    #[test]
    fn results_are_joined_in_few_calls_and_never_one_alone() {
        assert_eq!(groups(&[10; 5], 100), [5]);
        assert_eq!(groups(&[10; 5], 20), [2, 3]);
        assert_eq!(groups(&[30; 4], 20), [2, 2]);
        assert_eq!(groups(&[30, 1, 1, 30, 1], 32), [3, 2]);
        for count in 2..=40 {
            for max_bytes in [1, 25, 40, 1_000] {
                let groups = groups(&vec![10; count], max_bytes);
                assert_eq!(groups.iter().sum::<usize>(), count);
                assert!(groups.len() <= count / 2 && groups.iter().all(|group| *group >= 2));
            }
        }
    }
}
