//! Removes encoded data from texts: data URIs, base64, hexadecimal, uuencoded files. They are
//! no words, and cost more tokens than all words of their document.

use std::fmt::Write as _;
use std::ops::Range;

/// Shortest run of base64 characters in one line that is removed.
const RUN_MIN: usize = 200;
/// Shortest run that is removed although its characters change their class seldom, such as
/// the base64 of zeros.
const LONG_RUN_MIN: usize = 1_000;
/// Shortest line of wrapped base64, and fewest lines of it.
const LINE_MIN: usize = 40;
const LINES_MIN: usize = 3;
/// Shortest data of a data URI that is removed.
const URI_DATA_MIN: usize = 32;
/// Longest media type of a data URI, with its parameters.
const MEDIA_TYPE_MAX: usize = 120;

/// Removes encoded data, and leaves a note with its length in its place.
pub(super) fn remove_encoded_data(text: String) -> String {
    let text = remove(text, data_uris);
    let text = remove(text, wrapped_lines);
    remove(text, runs)
}

fn remove(text: String, find: fn(&str) -> Vec<Range<usize>>) -> String {
    let ranges = find(&text);
    if ranges.is_empty() {
        return text;
    }
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        if range.start < at {
            continue;
        }
        kept.push_str(&text[at..range.start]);
        let _ = write!(kept, "[encoded data removed: {} characters]", range.len());
        at = range.end;
    }
    kept.push_str(&text[at..]);
    kept
}

/// The data of data URIs, such as `data:image/png;base64,iVBORw0…`.
fn data_uris(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(colon) = bytes[at..].iter().position(|byte| *byte == b':').map(|place| at + place) {
        at = colon + 1;
        let scheme = bytes.get(colon.saturating_sub(4)..colon).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"data") {
            continue;
        }
        let head = &bytes[at..bytes.len().min(at + MEDIA_TYPE_MAX)];
        let is_media = |byte: &u8| byte.is_ascii_alphanumeric() || b"/+.;=-_%\"\\ ".contains(byte);
        let Some(comma) = head.iter().position(|byte| !is_media(byte)).filter(|place| head[*place] == b',') else {
            continue;
        };
        let media = head[..comma].to_ascii_lowercase();
        let begin = at + comma + 1;
        let is_base64 = media.trim_ascii_end().ends_with(b"base64");
        let is_data: fn(&u8) -> bool = match is_base64 {
            true => |byte| is_base64_char(*byte) || b"=%\\\r\n \t".contains(byte),
            false => |byte| byte.is_ascii_graphic() && !b"\"'()<>\\".contains(byte),
        };
        let mut end = begin + bytes[begin..].iter().take_while(|byte| is_data(byte)).count();
        while end > begin && (bytes[end - 1].is_ascii_whitespace() || bytes[end - 1] == b'\\') {
            end -= 1;
        }
        let is_file = is_base64 || media.contains(&b'/') && !media.starts_with(b"text/");
        // A word may follow the data after white space.
        if is_base64 && let Some(space) = bytes[begin..end].iter().position(u8::is_ascii_whitespace) {
            let rest = bytes[begin + space..end].split(u8::is_ascii_whitespace);
            if rest.filter(|part| !part.is_empty()).any(|part| part.len() < LINE_MIN) {
                let lines = bytes[begin..end].split(|byte| *byte == b'\n').take_while(|line| line.len() >= LINE_MIN);
                let lines: usize = lines.map(|line| line.len() + 1).sum();
                end = begin + lines.clamp(space, end - begin);
            }
        }
        if is_file && end - begin >= URI_DATA_MIN {
            found.push(begin..end);
        }
        at = end.max(at);
    }
    found
}

/// Groups of lines that hold nothing but base64 or hexadecimal, and uuencoded files.
fn wrapped_lines(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut at, mut begin, mut lines, mut encoded) = (0, 0, 0, String::new());
    let mut uuencoded = None;
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let words = line.trim_end().trim_start_matches(['>', ' ', '\t', '*']);
        if let Some(from) = uuencoded {
            if words == "end" {
                found.push(from..end);
                uuencoded = None;
            } else if words.len() > 62 {
                uuencoded = None;
            }
            continue;
        }
        if is_uuencoded_begin(words) {
            uuencoded = Some(end);
        }
        let is_data = !words.is_empty() && words.trim_end_matches('=').bytes().all(is_base64_char);
        if is_data
            && (words.len() >= LINE_MIN
                || (lines >= LINES_MIN && (words.ends_with('=') || words.len() >= LINE_MIN / 2)))
        {
            if lines == 0 {
                begin = start + line.find(words).unwrap_or_default();
                encoded.clear();
            }
            lines += 1;
            encoded.push_str(words.trim_end_matches('='));
            if words.len() >= LINE_MIN {
                continue;
            }
            // A shorter line is the last one.
            push_lines(&mut found, begin..start + line.trim_end().len(), lines, &encoded);
        } else {
            push_lines(&mut found, begin..text[..start].trim_end().len(), lines, &encoded);
        }
        lines = 0;
    }
    push_lines(&mut found, begin..text.trim_end().len(), lines, &encoded);
    found
}

fn push_lines(found: &mut Vec<Range<usize>>, range: Range<usize>, lines: usize, encoded: &str) {
    if lines >= LINES_MIN && is_encoded(encoded.as_bytes()) {
        found.push(range);
    }
}

fn is_uuencoded_begin(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("begin")
        && words
            .next()
            .is_some_and(|mode| (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)))
        && words.next().is_some_and(|name| !name.is_empty())
}

/// Runs of base64 or hexadecimal within a line. JSON may write `/` as `\/`, and a line end as
/// `\n`.
fn runs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !is_base64_char(bytes[at]) {
            at += 1;
            continue;
        }
        let begin = at;
        let mut data = 0;
        while at < bytes.len() {
            if is_base64_char(bytes[at]) {
                data += 1;
                at += 1;
            } else if bytes[at] == b'\\' && bytes.get(at + 1).is_some_and(|byte| b"/nr".contains(byte)) {
                at += 2;
            } else {
                break;
            }
        }
        if data < RUN_MIN {
            continue;
        }
        let run: Vec<u8> = without_escapes(&bytes[begin..at]);
        if is_encoded(&run) {
            at += bytes[at..].iter().take(2).take_while(|byte| **byte == b'=').count();
            found.push(begin..at);
        }
    }
    found
}

fn without_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes.get(at + 1) == Some(&b'/') => at += 1,
            b'\\' => at += 2,
            byte => {
                kept.push(byte);
                at += 1;
            }
        }
    }
    kept
}

fn is_base64_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Whether a run of base64 characters is data and no words: its characters are of every
/// class, and change their class often.
fn is_encoded(run: &[u8]) -> bool {
    if run.len() < LINES_MIN * LINE_MIN {
        return false;
    }
    let class = |byte: &u8| match byte {
        b'A'..=b'Z' => 0_usize,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let mut counts = [0_usize; 4];
    run.iter().for_each(|byte| counts[class(byte)] += 1);
    let [upper, lower, digits, _] = counts;
    if run.iter().all(u8::is_ascii_hexdigit) {
        return digits > 0 && upper + lower > 0;
    }
    let changes = run.windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    let has_all = upper > 0 && lower > 0 && digits > 0;
    has_all && (changes * 100 >= run.len() * 40 || run.len() >= LONG_RUN_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: usize, seed: u64) -> String {
        const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut random = fastrand::Rng::with_seed(seed);
        (0..bytes).map(|_| char::from(CHARS[random.usize(..64)])).collect()
    }

    fn wrapped(text: &str, width: usize, end: &str) -> String {
        text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned() + end).collect()
    }

    #[test]
    fn encoded_data_of_every_form_is_removed() {
        let data = base64(6_001, 1);
        for text in [
            format!("<p>before</p><img src=\"data:image/png;base64,{data}==\"><p>after</p>"),
            format!("before ![x](data:image/png;base64,{data}=) after"),
            format!("before\n{}\nafter", wrapped(&data, 76, "\r\n")),
            format!("before\n{}=\nafter", wrapped(&data, 64, "\n").trim_end()),
            format!("{{\"before\": \"{}\", \"after\": 1}}", wrapped(&data, 76, "\\r\\n")),
            format!("{{\"before\": \"{}\", \"after\": 1}}", data.replace('/', "\\/")),
            format!("before,{data},after\n"),
            format!("before {} after", data.replace('+', "-").replace('/', "_")),
            format!("> before\n{}> after", wrapped(&data, 72, "\n").replace('\n', "\n> ")),
            format!("before {} after", data.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
            format!(
                "before\nbegin 644 lease.pdf\n{}`\nend\nafter",
                wrapped(&data.replace('/', "!"), 60, "\n").replace('\n', "\nM")
            ),
            format!("before <style>a{{b:url(data:font/woff2;base64,{data})}}</style> after"),
            format!("before <img src='data:image/svg+xml,%3Csvg{}'> after", "%20path".repeat(40)),
        ] {
            let kept = remove_encoded_data(text.clone());
            assert!(kept.len() < 260, "{} of {}", &kept[..kept.len().min(400)], &text[..80]);
            assert!(
                kept.contains("before") && kept.contains("after") && kept.contains("encoded data removed"),
                "{kept}"
            );
        }
        let small =
            "before <img src=\"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\"> after";
        assert!(!remove_encoded_data(small.to_owned()).contains("R0lGOD"));
    }

    #[test]
    fn words_and_paths_and_sequences_stay() {
        for text in [
            "A lease of the flat at 12 Mill Lane, with data: all of it, and data:text/plain,hello".to_owned(),
            "https://example.org/".to_owned() + &"a-long-path/of-many-words/".repeat(30),
            "ACGTTGCA".repeat(300),
            "Donaudampfschifffahrtsgesellschaft".repeat(20),
            "租賃契約".repeat(500),
            "0123456789".repeat(50),
            "-".repeat(800),
            "begin 644 is what he said\nand then the end\n".to_owned(),
            "one-line-of-many-words-without-any-space-in-it\n".repeat(8),
            "/usr/share/doc/".repeat(20),
        ] {
            assert_eq!(remove_encoded_data(text.clone()), text);
        }
    }
}
