//! Decodes text to UTF-8, as a browser does: byte order mark, the text's own declaration,
//! UTF-8, then a guess.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use super::declaration::declared_label;

/// A decoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    pub text: String,
    /// The encoding's name in the [Encoding Standard](https://encoding.spec.whatwg.org/#names-and-labels).
    pub encoding: &'static str,
    /// Whether nothing but the bytes themselves showed the encoding.
    pub is_guess: bool,
    /// The places at which invalid bytes became U+FFFD.
    pub replaced: usize,
}

/// Most control characters of a text: one in this number of bytes, and two in any text.
const CONTROLS_ONE_IN: usize = 20;
/// Most zero bytes of a text: one in this number of bytes. A text has stray ones; an archive
/// of texts has many.
const ZEROS_ONE_IN: usize = 100;
/// The zeros in one half of the pairs of UTF-16, as a multiple of those in the other half.
const ZEROS_OF_OTHER_HALF: usize = 3;
/// Most replaced characters of a text: one in this number of bytes, and two in any text.
const REPLACED_ONE_IN: usize = 10;

/// Decodes text; `None` if the bytes are not text. `label` is the encoding that the text's
/// container names, such as a mail's header.
pub(super) fn decode(bytes: &[u8], label: Option<&str>) -> Option<Decoded> {
    let decoded = match find_mark(bytes) {
        Some((encoding, length)) => with(encoding, bytes.get(length..).unwrap_or_default(), false),
        None => match decode_utf_32(bytes) {
            Some(text) => Decoded { text, encoding: "UTF-32", is_guess: false, replaced: 0 },
            None => decode_unmarked(bytes, label)?,
        },
    };
    is_text(&decoded).then_some(decoded)
}

/// The encoding of a byte order mark, and the length of the mark. A mark of UTF-32 is none.
fn find_mark(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    let is_utf_32 = bytes.starts_with(b"\xff\xfe\0\0") && bytes.len().is_multiple_of(4);
    Encoding::for_bom(bytes).filter(|_| !is_utf_32)
}

/// Decodes UTF-32 with a byte order mark.
fn decode_utf_32(bytes: &[u8]) -> Option<String> {
    let (quads, rest) = bytes.as_chunks::<4>();
    let to_number = match quads.first()? {
        [0xff, 0xfe, 0, 0] => u32::from_le_bytes,
        [0, 0, 0xfe, 0xff] => u32::from_be_bytes,
        _ => return None,
    };
    let text = quads[1..].iter().map(|quad| char::from_u32(to_number(*quad))).collect::<Option<String>>();
    text.filter(|_| rest.is_empty())
}

fn decode_unmarked(bytes: &[u8], label: Option<&str>) -> Option<Decoded> {
    if let Some(encoding) = detect_utf_16(bytes) {
        return Some(with(encoding, bytes, false));
    }
    let label = label.map(str::to_owned).or_else(|| declared_label(bytes));
    let declared = label.and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    let shape = Utf8Shape::measure(bytes);
    match declared {
        // Bytes that are readable as ASCII are not UTF-16, with any declaration.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE || encoding == X_USER_DEFINED => {}
        // Text of a single-byte encoding is not valid UTF-8 at random. A program converted
        // this text and kept its declaration.
        Some(encoding) if encoding != UTF_8 && encoding.is_single_byte() && shape.bad == 0 && shape.good > 1 => {
            return Some(with(UTF_8, bytes, true));
        }
        Some(encoding) if encoding != UTF_8 => return Some(with(encoding, bytes, false)),
        // A wrong declaration is more likely than a text of which most is damaged.
        Some(_) if shape.good >= shape.bad => return Some(with(UTF_8, bytes, false)),
        Some(_) | None => {}
    }
    // ISO-2022-JP is ASCII with escape sequences.
    let may_be_iso_2022 = shape.good + shape.bad == 0 && bytes.windows(2).any(|pair| pair == b"\x1b$");
    if shape.good >= shape.bad && !may_be_iso_2022 {
        return Some(with(UTF_8, bytes, false));
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let decoded = with(guess, bytes, true);
    if may_be_iso_2022 && guess != ISO_2022_JP {
        return Some(with(UTF_8, bytes, false));
    }
    // A short text gives the detector little: Windows-1252 decodes any bytes.
    Some(if decoded.replaced > 0 { with(WINDOWS_1252, bytes, true) } else { decoded })
}

fn with(encoding: &'static Encoding, bytes: &[u8], is_guess: bool) -> Decoded {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let replaced = if had_errors { count_replaced(&text, bytes) } else { 0 };
    Decoded { text: text.into_owned(), encoding: encoding.name(), is_guess, replaced }
}

/// The replacement characters of a decoded text that its bytes did not hold themselves.
fn count_replaced(text: &str, bytes: &[u8]) -> usize {
    let held = bytes.windows(3).filter(|window| window == b"\xef\xbf\xbd").count();
    text.matches('\u{fffd}').count().saturating_sub(held).max(1)
}

/// How far bytes are UTF-8.
struct Utf8Shape {
    /// Characters of several bytes.
    good: usize,
    /// Places with invalid bytes.
    bad: usize,
}

impl Utf8Shape {
    fn measure(bytes: &[u8]) -> Self {
        let (mut good, mut bad) = (0, 0);
        for chunk in bytes.utf8_chunks() {
            good += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
            bad += usize::from(!chunk.invalid().is_empty());
        }
        Self { good, bad }
    }
}

/// Detects UTF-16 without a mark, by its zero bytes: all are in one half of the pairs.
/// Texts in other encodings have almost no zero bytes.
fn detect_utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    // In other scripts, some characters have a zero in their other half.
    let (encoding, zeros) = match (zeros(0), zeros(1)) {
        (high, low) if low > high * ZEROS_OF_OTHER_HALF => (UTF_16LE, low),
        (high, low) if high > low * ZEROS_OF_OTHER_HALF => (UTF_16BE, high),
        _ => return None,
    };
    let is_whole = zeros * 2 > pairs.len() && rest.is_empty();
    if is_whole && bytes.iter().filter(|byte| **byte == 0).count() == zeros {
        return Some(encoding);
    }
    // A text in another script has few zero bytes: spaces, digits and line ends.
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let is_plausible = !had_errors && zeros * 20 >= pairs.len() && !text.chars().any(is_unusual);
    // Text in ASCII with a stray zero byte has no other control characters.
    let is_other = std::str::from_utf8(bytes).is_err() || bytes.iter().any(|byte| matches!(byte, 1..=8 | 14..=26));
    (is_plausible && is_other).then_some(encoding)
}

fn is_unusual(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c')) || ('\u{e000}'..='\u{f8ff}').contains(&c)
}

/// Whether a decoded text has few control characters, few zeros, and few replaced characters.
/// Word processors leave single control characters; files of other kinds have many.
fn is_text(decoded: &Decoded) -> bool {
    let length = decoded.text.len();
    let zeros = decoded.text.bytes().filter(|byte| *byte == 0).count();
    let is_control = |byte: &u8| *byte == 0x7f || (*byte < 0x20 && !b"\t\n\x0b\x0c\r\x1b".contains(byte));
    let controls = decoded.text.bytes().filter(is_control).count();
    zeros * ZEROS_ONE_IN <= length
        && controls <= (length / CONTROLS_ONE_IN).max(2)
        && decoded.replaced <= (length / REPLACED_ONE_IN).max(2)
}

/// The characters that show nothing: white space, controls, and format characters.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Decoded {
        decode(bytes, None).expect("text")
    }

    #[test]
    fn single_bad_bytes_are_replaced_and_counted() {
        let german = "Zwölf Gebühren für die Wohnung. ".repeat(40);
        for bad in [&b"\xe4"[..], b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f"] {
            let mut bytes = german.as_bytes()[..64].to_vec();
            bytes.extend_from_slice(bad);
            bytes.extend_from_slice(&german.as_bytes()[64..]);
            let decoded = decoded(&bytes);
            assert_eq!((decoded.encoding, decoded.is_guess, decoded.replaced), ("UTF-8", false, 1), "{bad:?}");
            assert_eq!(decoded.text.replace('\u{fffd}', ""), german);
        }
        let truncated = &"für".as_bytes()[..2];
        assert_eq!(decoded(&[german.as_bytes(), truncated].concat()).replaced, 1);
        assert_eq!(decoded("a\u{fffd}b ü".as_bytes()).replaced, 0, "the text itself has the character");
    }

    #[test]
    fn encoding_without_declaration_is_guessed_and_says_so() {
        let russian = "Договор аренды квартиры. Арендатор платит девятьсот рублей в месяц. ".repeat(4);
        let polish = "Umowa najmu mieszkania: czynsz płatny z góry, zażółć gęślą jaźń. ".repeat(4);
        let japanese = "賃貸借契約書。賃料は毎月一日に支払うものとする。".repeat(6);
        let german = "Zwölf Gebühren für die Wohnung in der Mühlstraße.".to_owned();
        for (label, text) in [
            ("windows-1251", &russian),
            ("koi8-u", &russian),
            ("iso-8859-2", &polish),
            ("shift_jis", &japanese),
            ("euc-jp", &japanese),
            ("iso-2022-jp", &japanese),
            ("windows-1252", &german),
        ] {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let decoded = decoded(&encoding.encode(text).0);
            assert_eq!(&decoded.text, text, "{label}: {}", decoded.encoding);
            assert!(decoded.is_guess && decoded.replaced == 0, "{label}");
        }
    }

    #[test]
    fn mark_and_zero_bytes_show_utf_16_and_utf_32() {
        for text in ["Miete 900 €", "租金 每月 900 元\r\n租金", "Договор аренды\r\n"] {
            for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                let unmarked: Vec<u8> = text.encode_utf16().flat_map(to_bytes).collect();
                assert_eq!(decoded(&unmarked).text, text);
                let marked: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(to_bytes).collect();
                assert_eq!(decoded(&marked).text, text);
            }
            for to_bytes in [u32::to_le_bytes, u32::to_be_bytes] {
                let bytes: Vec<u8> = format!("\u{feff}{text}").chars().flat_map(|c| to_bytes(c.into())).collect();
                assert_eq!(decoded(&bytes).text, text);
            }
        }
    }

    #[test]
    fn control_characters_of_word_processors_are_text() {
        let cells = "Tenant\x07Rent\x07\x0b900\x1a and \x13field\x14 \x1f".to_owned() + &"of a lease ".repeat(20);
        assert_eq!(decoded(cells.as_bytes()).text, cells);
        assert!(decode(b"caf\xe9 \x07", None).is_some());
        assert!(decode(b"\x7fELF\x02\x01\x01\x80", None).is_none());
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50 {
            let noise: Vec<u8> = (0..2_000).map(|_| random.u8(..)).collect();
            assert!(decode(&noise, None).is_none());
        }
    }

    #[test]
    fn declaration_of_a_converted_text_is_not_believed() {
        let html = "<meta charset=iso-8859-1><p>Gebühren für Öl</p>";
        let decoded = decoded(html.as_bytes());
        assert_eq!((decoded.encoding, decoded.is_guess, decoded.text.as_str()), ("UTF-8", true, html));
    }
}
