//! The text of RTF. No crate reads its code pages and destinations well enough.
//!
//! <https://interoperability.blob.core.windows.net/files/Archive_References/%5bMSFT-RTF%5d.pdf>

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::domain::document::failures::{damaged, expands_too_far};
use crate::domain::failure::Failure;
use crate::domain::limits::{EXTRACTED_TEXT_MAX_BYTES, MARKUP_DEPTH_MAX};

/// The destinations without text of the document. A destination after `\*` is left out too,
/// unless [`SHOWN`] has it.
const HIDDEN: [&str; 25] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "objdata",
    "themedata",
    "colorschememapping",
    "datastore",
    "latentstyles",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "filetbl",
    "revtbl",
    "xe",
    "tc",
    "fldinst",
    "datafield",
    "sp",
    "sn",
    "sv",
    "bkmkstart",
];
const SHOWN: [&str; 3] = ["shpinst", "shptxt", "result"];

/// The state of a group.
#[derive(Clone, Copy)]
struct Group {
    is_hidden: bool,
    is_font_table: bool,
    /// Characters that follow `\u` for readers without Unicode.
    fallback: usize,
    encoding: &'static Encoding,
}

struct Rtf<'a> {
    bytes: &'a [u8],
    at: usize,
    text: String,
    /// Bytes in the encoding of the group, not decoded yet.
    pending: Vec<u8>,
    /// The first half of a surrogate pair.
    high: Option<u16>,
    group: Group,
    groups: Vec<Group>,
    default: &'static Encoding,
    fonts: HashMap<i32, &'static Encoding>,
    /// The font that the font table describes.
    font: i32,
    /// Fallback characters to leave out.
    skip: usize,
    /// Whether the next control word is a destination that readers may ignore.
    is_optional: bool,
}

/// The text of an RTF document.
///
/// # Errors
/// The failure of a document without text but with an incomplete group, and of one that is too
/// deep or too long.
pub(in crate::domain::document) fn rtf_text(bytes: &[u8]) -> Result<String, Failure> {
    let group = Group { is_hidden: false, is_font_table: false, fallback: 1, encoding: WINDOWS_1252 };
    let mut rtf = Rtf {
        bytes,
        at: 0,
        text: String::new(),
        pending: Vec::new(),
        high: None,
        group,
        groups: Vec::new(),
        default: WINDOWS_1252,
        fonts: HashMap::new(),
        font: 0,
        skip: 0,
        is_optional: false,
    };
    rtf.read()?;
    rtf.flush();
    if rtf.text.trim().is_empty() && !rtf.groups.is_empty() {
        return Err(damaged("the RTF document"));
    }
    Ok(rtf.text)
}

impl Rtf<'_> {
    fn read(&mut self) -> Result<(), Failure> {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => {
                    self.flush();
                    self.skip = 0;
                    if self.groups.len() >= MARKUP_DEPTH_MAX {
                        return Err(expands_too_far("levels of groups", MARKUP_DEPTH_MAX));
                    }
                    self.groups.push(self.group);
                }
                b'}' => {
                    self.flush();
                    self.skip = 0;
                    match self.groups.pop() {
                        Some(group) => self.group = group,
                        None => return Ok(()),
                    }
                    if self.groups.is_empty() {
                        return Ok(());
                    }
                }
                b'\\' => self.control(),
                b'\r' | b'\n' | 0 => {}
                byte => self.push_byte(byte),
            }
            if self.text.len() > EXTRACTED_TEXT_MAX_BYTES {
                return Err(expands_too_far("bytes of text", EXTRACTED_TEXT_MAX_BYTES));
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn control(&mut self) {
        let Some(first) = self.next() else { return };
        if first.is_ascii_alphabetic() {
            let begin = self.at - 1;
            let length = self.bytes[begin..].iter().take(32).take_while(|byte| byte.is_ascii_alphabetic()).count();
            self.at = begin + length;
            let word = String::from_utf8_lossy(&self.bytes[begin..self.at]).into_owned();
            let number = self.number();
            if self.bytes.get(self.at) == Some(&b' ') {
                self.at += 1;
            }
            self.word(&word, number);
            return;
        }
        match first {
            b'\'' => {
                let digits = self.bytes.get(self.at..self.at + 2).and_then(|digits| std::str::from_utf8(digits).ok());
                if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    self.at += 2;
                    self.push_byte(byte);
                }
            }
            b'*' => self.is_optional = true,
            b'~' => self.push_char('\u{a0}'),
            b'_' => self.push_char('-'),
            b'\\' | b'{' | b'}' => self.push_byte(first),
            b'\r' | b'\n' => self.push_char('\n'),
            _ => {}
        }
    }

    fn number(&mut self) -> Option<i32> {
        let rest = &self.bytes[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[sign..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        self.at += sign + digits;
        std::str::from_utf8(&rest[..sign + digits]).ok()?.parse().ok()
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        let is_optional = std::mem::take(&mut self.is_optional);
        if HIDDEN.contains(&word) || (is_optional && !SHOWN.contains(&word)) {
            self.flush();
            self.group.is_hidden = true;
            self.group.is_font_table = word == "fonttbl";
            return;
        }
        if self.skip > 0 && word != "u" && word != "bin" {
            // A control word is one fallback character.
            self.skip -= 1;
        }
        let is_on = number != Some(0);
        match word {
            "par" | "line" | "sect" | "page" | "row" | "nestrow" | "column" => self.push_char('\n'),
            "tab" | "cell" | "nestcell" => self.push_char('\t'),
            "emdash" => self.push_char('—'),
            "endash" => self.push_char('–'),
            "lquote" => self.push_char('‘'),
            "rquote" => self.push_char('’'),
            "ldblquote" => self.push_char('“'),
            "rdblquote" => self.push_char('”'),
            "bullet" => self.push_char('•'),
            "emspace" | "enspace" | "qmspace" => self.push_char(' '),
            "u" => self.unicode(number.unwrap_or_default()),
            "uc" => self.group.fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(0).min(16),
            "bin" => self.at += usize::try_from(number.unwrap_or(0)).unwrap_or(0),
            "ansicpg" => {
                self.default = encoding_of(number.unwrap_or(1252));
                self.set_encoding(self.default);
            }
            "mac" => self.set_encoding(encoding_of(10_000)),
            "deff" => {}
            "f" if self.group.is_font_table => self.font = number.unwrap_or(0),
            "fcharset" if self.group.is_font_table => {
                if let Some(encoding) = encoding_of_charset(number.unwrap_or(1)) {
                    self.fonts.insert(self.font, encoding);
                }
            }
            "f" => {
                let encoding = number.and_then(|font| self.fonts.get(&font)).copied().unwrap_or(self.default);
                self.set_encoding(encoding);
            }
            "plain" => self.set_encoding(self.default),
            // Hidden text, and the RTF that a message of Outlook shows instead of its HTML.
            "v" | "htmlrtf" => {
                self.flush();
                self.group.is_hidden = is_on;
            }
            _ => {}
        }
    }

    fn set_encoding(&mut self, encoding: &'static Encoding) {
        self.flush();
        self.group.encoding = encoding;
    }

    fn unicode(&mut self, number: i32) {
        self.flush();
        self.skip = self.group.fallback;
        let unit = (number & 0xffff) as u16;
        match (unit, self.high.take()) {
            (0xd800..=0xdbff, _) => self.high = Some(unit),
            (0xdc00..=0xdfff, Some(high)) => {
                let c = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                self.show(c.unwrap_or('\u{fffd}'));
            }
            // The fonts of symbols have their characters in the private area.
            (0xf020..=0xf07e, _) => self.show(char::from((unit & 0xff) as u8)),
            _ => self.show(char::from_u32(unit.into()).unwrap_or('\u{fffd}')),
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.is_optional = false;
        if self.skip > 0 {
            self.skip -= 1;
        } else if !self.group.is_hidden {
            self.pending.push(byte);
        }
    }

    fn push_char(&mut self, c: char) {
        self.flush();
        self.show(c);
    }

    fn show(&mut self, c: char) {
        if !self.group.is_hidden {
            self.text.push(c);
        }
    }

    /// Decodes the pending bytes. A character of several bytes may be written in several ways.
    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.pending);
            self.text.push_str(&self.group.encoding.decode_without_bom_handling(&bytes).0);
        }
    }
}

/// The encoding of a code page of Windows.
pub(super) fn encoding_of(code_page: i32) -> &'static Encoding {
    let label = match code_page {
        932 => "shift_jis".to_owned(),
        936 | 54936 => "gb18030".to_owned(),
        949 | 1361 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        866 => "ibm866".to_owned(),
        874 => "windows-874".to_owned(),
        10_000 => "macintosh".to_owned(),
        10_007 => "x-mac-cyrillic".to_owned(),
        20_866 => "koi8-r".to_owned(),
        21_866 => "koi8-u".to_owned(),
        28_591..=28_606 => format!("iso-8859-{}", code_page - 28_590),
        50_220..=50_222 => "iso-2022-jp".to_owned(),
        51_932 => "euc-jp".to_owned(),
        65_001 => "utf-8".to_owned(),
        page => format!("windows-{page}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

/// The encoding of a font's character set; `None` for the default.
fn encoding_of_charset(charset: i32) -> Option<&'static Encoding> {
    let code_page = match charset {
        77 => 10_000,
        128 => 932,
        129 | 130 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178..=180 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    };
    Some(encoding_of(code_page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rtf: &str) -> String {
        rtf_text(rtf.as_bytes()).unwrap().trim().to_owned()
    }

    #[test]
    fn words_are_read_in_their_code_pages() {
        assert_eq!(text(r"{\rtf1\ansi\ansicpg1252 Geb\'fchr 900 \'80\par Ende}"), "Gebühr 900 €\nEnde");
        assert_eq!(text(r"{\rtf1\ansicpg1251 \'c4\'ee\'e3\'ee\'e2\'ee\'f0}"), "Договор");
        assert_eq!(
            text(r"{\rtf1\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial CYR;}}\f0 A \f1 \'c4\'ee\f0 \'e4}"),
            "A Доä"
        );
        assert_eq!(text(r"{\rtf1\ansicpg932 \'92\'c0\'8b\'e0}"), "賃金");
        assert_eq!(text(r"{\rtf1\ansicpg936 {\'d7\'e2}\'bd\'f0}"), "租金");
        assert_eq!(text(r"{\rtf1 \uc1\u31199?\u37329? \u-10179?\u-8928?}"), "租金 🔠");
        assert_eq!(text(r"{\rtf1 \uc2\u252\'81\'40x\uc0\u252 y}"), "üxüy");
    }

    #[test]
    fn destinations_without_words_are_left_out() {
        let rtf = r"{\rtf1{\info{\title Secret}}{\stylesheet{\s1 Heading;}}{\*\generator Word;}{\*\unknown {deep} x}A lease
{\pict\pngblip 89504e470d0a}{\object{\*\objdata 0102}{\result Shown}}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}{\v hidden}
{\shp{\*\shpinst{\sp{\sn a}{\sv b}}{\shptxt box}}} end}";
        let text = text(rtf);
        assert_eq!(text, "A leaselinkbox end", "{text}");
    }

    #[test]
    fn binary_pictures_and_braces_are_no_groups() {
        let rtf = [&b"{\\rtf1 before {\\pict\\bin6 }}}{{{} after \\{x\\}}"[..]].concat();
        assert_eq!(rtf_text(&rtf).unwrap(), "before  after {x}");
        assert!(rtf_text(&b"{\\rtf1".repeat(MARKUP_DEPTH_MAX + 1)).is_err());
        assert!(rtf_text(b"{\\rtf1{\\fonttbl{\\f0 ").is_err());
        assert_eq!(rtf_text(b"{\\rtf1 cut short").unwrap(), "cut short");
    }
}
