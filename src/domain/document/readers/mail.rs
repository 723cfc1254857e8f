//! The text of a mail: its headers, its body, and the list of its attachments.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Address, Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::domain::document::encoding;
use crate::domain::document::failures::damaged;
use crate::domain::failure::Failure;
use crate::domain::limits::MAIL_ADDRESSES_MAX;

/// A document in a mail or another container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain::document) struct Part {
    /// The name that the container gives it.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The text of a mail, and its attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain::document) struct Mail {
    pub text: String,
    pub attachments: Vec<Part>,
}

/// Headers that only mails have.
const OWN_HEADERS: [&str; 11] = [
    "received",
    "return-path",
    "message-id",
    "mime-version",
    "delivered-to",
    "x-mailer",
    "reply-to",
    "x-originating-ip",
    "content-transfer-encoding",
    "dkim-signature",
    "in-reply-to",
];
/// Headers that other texts may begin with too.
const HEADERS: [&str; 8] = ["from", "to", "subject", "date", "cc", "bcc", "sender", "content-type"];
/// The bytes in which the headers must show that a text is a mail.
const HEADERS_WITHIN: usize = 16_384;

/// Whether a text begins with the headers of a mail.
pub(in crate::domain::document) fn is_mail(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = &bytes[..bytes.len().min(HEADERS_WITHIN)];
    let (mut own, mut common, mut is_first) = (0, 0, true);
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let is_envelope = is_first && line.starts_with(b"From ");
        let is_continued = !is_first && line[0].is_ascii_whitespace();
        is_first = false;
        if is_envelope || is_continued {
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let name = &line[..colon];
        let is_name = |byte: &u8| byte.is_ascii_graphic();
        if name.is_empty() || !name.iter().all(is_name) {
            return false;
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        own += usize::from(OWN_HEADERS.contains(&name.as_str()));
        common += usize::from(HEADERS.contains(&name.as_str()));
    }
    own >= 1 && own + common >= 3
}

/// Reads a mail.
///
/// # Errors
/// The failure of a mail without headers.
pub(in crate::domain::document) fn read_mail(bytes: &[u8]) -> Result<Mail, Failure> {
    // The envelope of a mailbox is no header.
    let bytes = match bytes.starts_with(b"From ") {
        true => bytes.iter().position(|byte| *byte == b'\n').and_then(|at| bytes.get(at + 1..)).unwrap_or_default(),
        false => bytes,
    };
    let message = MessageParser::default().parse(bytes).ok_or_else(|| damaged("the mail"))?;
    Ok(from_message(&message))
}

fn from_message(message: &Message<'_>) -> Mail {
    let mut text = headers(message);
    text.push('\n');
    let bodies: Vec<String> = match message.text_body_count() {
        0 => message.html_bodies().map(|part| body(message, part)).collect(),
        _ => message.text_bodies().map(|part| body(message, part)).collect(),
    };
    text.push_str(bodies.join("\n").trim());
    text.push('\n');
    let mut attachments = Vec::new();
    for part in message.attachments() {
        // A picture of a signature or of the body is no separate document.
        let is_inline = part.content_id().is_some() && part.is_content_type_of("image");
        if is_inline || matches!(part.body, PartType::InlineBinary(_)) && part.is_content_type_of("image") {
            continue;
        }
        let bytes = match &part.body {
            PartType::Message(inner) => inner.raw_message().to_vec(),
            PartType::Text(_) | PartType::Html(_) => raw_contents(message, part).into_owned(),
            PartType::Multipart(_) => continue,
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
        };
        let fallback = match &part.body {
            PartType::Message(_) => "message.eml",
            PartType::Text(_) => "attachment.txt",
            PartType::Html(_) => "attachment.html",
            _ => "attachment",
        };
        let mut name = part.attachment_name().unwrap_or(fallback).to_owned();
        if matches!(part.body, PartType::Message(_)) && !name.to_ascii_lowercase().ends_with(".eml") {
            name.push_str(".eml");
        }
        attachments.push(Part { name, bytes });
    }
    push_attachments(&mut text, &attachments);
    Mail { text, attachments }
}

/// Adds the names of attachments to the text of their mail.
pub(super) fn push_attachments(text: &mut String, attachments: &[Part]) {
    if !attachments.is_empty() {
        let names: Vec<&str> = attachments.iter().map(|part| part.name.as_str()).collect();
        text.push_str(&format!("\nAttachments: {}\n", names.join(", ")));
    }
}

trait ContentTypeOf {
    fn is_content_type_of(&self, kind: &str) -> bool;
}

impl ContentTypeOf for MessagePart<'_> {
    fn is_content_type_of(&self, kind: &str) -> bool {
        self.content_type().is_some_and(|own| own.ctype().eq_ignore_ascii_case(kind))
    }
}

fn headers(message: &Message<'_>) -> String {
    let mut text = String::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            text.push_str(&format!("{name}: {}\n", value.replace(['\r', '\n'], " ").trim()));
        }
    };
    put("From", message.from().map(addresses));
    put("To", message.to().map(addresses));
    put("Cc", message.cc().map(addresses));
    put("Date", message.date().map(|date| date.to_rfc3339()));
    put("Subject", message.subject().map(|subject| repaired(subject, message)));
    text
}

/// A header in 8-bit bytes that are not UTF-8, decoded as such.
fn repaired(value: &str, message: &Message<'_>) -> String {
    if !value.contains('\u{fffd}') {
        return value.to_owned();
    }
    let header = message.headers().iter().find(|header| header.name().eq_ignore_ascii_case("subject"));
    let range = header.map(|header| header.offset_start() as usize..header.offset_end() as usize);
    let raw = range.and_then(|range| message.raw_message().get(range));
    let decoded = raw.and_then(|raw| encoding::decode(raw, None));
    decoded.map_or_else(|| value.to_owned(), |decoded| decoded.text)
}

fn addresses(address: &Address<'_>) -> String {
    let shown = address.iter().take(MAIL_ADDRESSES_MAX).map(|one| match (one.name(), one.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn body(message: &Message<'_>, part: &MessagePart<'_>) -> String {
    let text: Cow<'_, str> = match &part.body {
        PartType::Text(text) => redecoded(message, part, text),
        PartType::Html(html) => Cow::Owned(html_to_text(&redecoded(message, part, html))),
        _ => Cow::Borrowed(""),
    };
    text.trim_end().to_owned()
}

/// The text of a part, decoded by its own bytes if its header names no encoding, or one that
/// does not fit.
fn redecoded<'a>(message: &Message<'_>, part: &MessagePart<'_>, text: &'a str) -> Cow<'a, str> {
    let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
    let is_known = charset.is_some_and(|label| encoding_rs::Encoding::for_label(label.trim().as_bytes()).is_some());
    if text.is_ascii() || (is_known && !text.contains('\u{fffd}')) {
        return Cow::Borrowed(text);
    }
    let raw = raw_contents(message, part);
    match encoding::decode(&raw, charset.filter(|_| is_known && !raw.is_ascii())) {
        Some(decoded) => Cow::Owned(decoded.text),
        None => Cow::Borrowed(text),
    }
}

/// The bytes of a part without its transfer encoding.
fn raw_contents<'a>(message: &'a Message<'_>, part: &MessagePart<'_>) -> Cow<'a, [u8]> {
    let range = part.raw_body_offset() as usize..part.raw_end_offset() as usize;
    let raw = message.raw_message().get(range).unwrap_or_default();
    let decoded = match part.encoding {
        Encoding::None => None,
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
        Encoding::Base64 => base64_decode(raw),
    };
    decoded.map_or(Cow::Borrowed(raw), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_known_by_its_headers() {
        for text in [
            "From: a@example.org\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\n\r\nwords",
            "Received: from x\r\n\tby y\r\nReturn-Path: <a>\r\nSubject: s\r\n\r\n",
            "From a@example.org Mon Jan 1\nMessage-ID: <1>\nDate: x\nSubject: y\n\nbody",
        ] {
            assert!(is_mail(text.as_bytes()), "{text}");
        }
        for text in [
            "From: the landlord\nTo: the tenant\nSubject: rent\n\nDear tenant",
            "Dear tenant,\nReceived: yes\nMessage-ID: no\nMIME-Version: x\n",
            "",
            "\r\nMIME-Version: 1.0\r\n",
        ] {
            assert!(!is_mail(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn body_is_decoded_by_its_header_or_its_bytes() {
        let mail = |header: &str, body: &[u8]| {
            let head = format!(
                "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: Miete\r\nMIME-Version: 1.0\r\nContent-Type: text/plain{header}\r\n\r\n"
            );
            read_mail(&[head.as_bytes(), body].concat()).unwrap().text
        };
        let russian = encoding_rs::WINDOWS_1251.encode("Договор аренды квартиры").0;
        assert!(mail("; charset=windows-1251", &russian).contains("Договор аренды квартиры"));
        let german = encoding_rs::WINDOWS_1252.encode("Zwölf Gebühren für die Wohnung in der Mühlstraße").0;
        for header in ["", "; charset=unknown-8bit", "; charset=utf-8"] {
            let text = mail(header, &german);
            assert!(text.contains("Zwölf Gebühren") && text.contains("Jürgen <j@example.org>"), "{header}: {text}");
        }
    }

    #[test]
    fn attachments_are_parts_and_no_words() {
        let mail = "From: a@example.org\r\nTo: b@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
            --c\r\nContent-Type: text/plain\r\n\r\nThe words\r\n--c\r\nContent-Type: text/html\r\n\r\n<b>The words</b>\r\n--c--\r\n\
            --b\r\nContent-Type: application/pdf; name=lease.pdf\r\nContent-Transfer-Encoding: base64\r\n\
            Content-Disposition: attachment; filename=lease.pdf\r\n\r\nJVBERi0xLjc=\r\n\
            --b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0=\r\n\
            --b\r\nContent-Type: text/csv; charset=iso-8859-1; name=\"r.csv\"\r\nContent-Disposition: attachment\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nM=FCller,1\r\n\
            --b\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@example.org\r\nSubject: inner\r\nMIME-Version: 1.0\r\n\r\nInner words\r\n--b--\r\n";
        let Mail { text, attachments } = read_mail(mail.as_bytes()).unwrap();
        assert!(text.contains("Subject: s\n") && text.matches("The words").count() == 1, "{text}");
        assert!(text.contains("Attachments: lease.pdf, r.csv, message.eml"), "{text}");
        assert_eq!(attachments[0].bytes, b"%PDF-1.7");
        assert!(attachments[1].bytes.starts_with(b"M\xfcller,1"));
        let inner = read_mail(&attachments[2].bytes).unwrap().text;
        assert!(inner.contains("Inner words") && inner.contains("Subject: inner"), "{inner}");
    }
}
