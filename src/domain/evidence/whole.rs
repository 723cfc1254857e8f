//! The search for passages that are no part of a longer word or number.

/// The place of a passage that is no part of a longer word or number.
pub(super) fn find_whole(text: &str, wanted: &str) -> Option<usize> {
    memchr::memmem::find_iter(text.as_bytes(), wanted.as_bytes()).find(|at| is_whole(text, *at, *at + wanted.len()))
}

/// Whether neither end of a passage cuts a word or a number: `90` is not in `900`, `1` is not in
/// `1.5`, and `5` is not in `-5`.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let (Some(before), Some(passage), Some(after)) = (text.get(..start), text.get(start..end), text.get(end..)) else {
        return false;
    };
    let mut left = before.chars().rev();
    let (left, further_left) = (left.next(), left.next());
    let mut right = after.chars();
    let (right, further_right) = (right.next(), right.next());
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let is_separator = |c: Option<char>| c.is_some_and(|c| ".,'’".contains(c));
    let is_sign = |c: Option<char>| c.is_some_and(|c| "-−–".contains(c));
    let (first, last) = (passage.chars().next(), passage.chars().next_back());
    let cuts_left = is_word(first) && is_word(left)
        || is_digit(first) && is_separator(left) && is_digit(further_left)
        || is_digit(first) && is_sign(left) && further_left.is_none_or(|c| c.is_whitespace() || c == '(');
    let cuts_right =
        is_word(last) && is_word(right) || is_digit(last) && is_separator(right) && is_digit(further_right);
    !cuts_left && !cuts_right
}
