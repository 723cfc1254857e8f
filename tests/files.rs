//! Files and images in a bucket, through the real consumer.

use std::collections::HashMap;
use std::time::Duration;

use docket::domain::document::sha256_hex;
use docket::domain::job::stored::State;
use serde_json::json;
use test_support::aws::World;
use test_support::{file, read};

const TIME: Duration = Duration::from_secs(60);

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(file(&format!("events/documents/{name}"))).expect("a sample")
}

/// Stores each document under its key, and analyses all of them in one batch. The job
/// id is the part of the key before the dot.
async fn analyse_documents(world: &World, memory_mb: &str, documents: &[(&str, Vec<u8>)]) {
    let s3 = aws_sdk_s3::Client::new(&world.sdk);
    let mut messages = Vec::new();
    for (key, bytes) in documents {
        s3.put_object().bucket(&world.bucket).key(*key).body(bytes.clone().into()).send().await.expect("stored");
        let body = json!({"job_id": key.split('.').next(), "document_s3": {"bucket": world.bucket, "key": key}});
        messages.push((body.to_string(), HashMap::new()));
    }
    let event = world.deliver(&messages).await;
    let consumer = world.consumer_with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb)]).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn files_and_texts_of_every_encoding_are_analysed() {
    let world = World::new().await;
    let lease = read("events/documents/lease.txt");
    let utf_16: Vec<u8> = format!("\u{feff}{lease}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let documents = [
        ("pdf.bin", sample("bridge-report.pdf"), "report"),
        ("docx.docx", sample("piano-agreement.docx"), "contract"),
        ("png.png", sample("floor-plan.png"), "other"),
        ("utf-16.txt", utf_16, "lease"),
        ("latin-1.txt", [lease.as_bytes(), b"\n\nGeb\xfchr: 900 \x80"].concat(), "lease"),
        ("page.html", format!("<html><p>{lease}</p></html>").into_bytes(), "lease"),
    ];
    analyse_documents(&world, "256", &documents.clone().map(|(key, bytes, _)| (key, bytes))).await;
    for (key, bytes, label) in documents {
        let row = world.row(key.split('.').next().unwrap()).await.expect(key);
        let State::Complete(done) = &row.state else { panic!("{key}: {row:?}") };
        let result = done.result.inline().expect(key);
        assert_eq!(result["classification"]["label"], label, "{key}: {result}");
        assert_eq!(row.document.size_bytes, Some(bytes.len() as u64), "{key}");
        assert_eq!(row.document.sha256, Some(sha256_hex(&bytes)), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unsupported_document_fails_with_its_code_and_no_call() {
    let world = World::new().await;
    let documents = [
        ("unknown.docx", b"\x00\x01\x02\x80".to_vec(), "document_type_unknown"),
        ("encrypted.pdf", b"%PDF-1.7\n1 0 obj /Page\ntrailer << /Encrypt 5 0 R >>".to_vec(), "document_encrypted"),
        ("empty.pdf", Vec::new(), "document_empty"),
        ("large.pdf", [b"%PDF-1.7\n1 0 obj\n".as_slice(), &[0; 4_500_000]].concat(), "document_too_large"),
    ];
    analyse_documents(&world, "256", &documents.clone().map(|(key, bytes, _)| (key, bytes))).await;
    for (key, _, code) in documents {
        let State::Failed { error, .. } = world.row(key.split('.').next().unwrap()).await.unwrap().state else {
            panic!("the job of {key} has not failed")
        };
        assert_eq!(error.code, code, "{key}: {}", error.message);
    }
    assert_eq!(world.model.calls()["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn documents_wait_uncharged_for_the_memory_budget() {
    let world = World::new().await;
    world.model.behave(json!({"latency_ms": 300}));
    let large = [sample("floor-plan.png"), vec![0; 700_000]].concat();
    let documents = ["one.png", "two.png", "three.png"].map(|key| (key, large.clone()));
    // A function of 65 MB has a memory budget of 1 MB for documents.
    analyse_documents(&world, "65", &documents).await;
    assert_eq!(world.model.calls()["peak_in_flight"], 1);
    for job_id in ["one", "two", "three"] {
        let row = world.row(job_id).await.unwrap();
        assert_eq!((row.state.status().as_str(), row.attempt, row.charged_attempts), ("complete", 1, 1));
    }
}

/// A PDF of pages with a picture of 2 MB each.
fn large_pdf(pages: usize) -> Vec<u8> {
    let mut document = lopdf::Document::with_version("1.5");
    let root = document.new_object_id();
    let mut kids = Vec::new();
    for number in 0..pages {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let bytes: Vec<u8> = (0..2_000_000).map(|_| random.u8(..)).collect();
        let picture = lopdf::dictionary! {"Subtype" => "Image", "Filter" => "DCTDecode"};
        let picture = document.add_object(lopdf::Stream::new(picture, bytes));
        let content = document.add_object(lopdf::Stream::new(lopdf::Dictionary::new(), b"/Im1 Do".to_vec()));
        let resources = lopdf::dictionary! {"XObject" => lopdf::dictionary! {"Im1" => picture}};
        let page =
            lopdf::dictionary! {"Type" => "Page", "Parent" => root, "Contents" => content, "Resources" => resources};
        kids.push(document.add_object(page).into());
    }
    let tree = lopdf::dictionary! {"Type" => "Pages", "Count" => pages as i64, "Kids" => kids};
    document.objects.insert(root, tree.into());
    let catalog = document.add_object(lopdf::dictionary! {"Type" => "Catalog", "Pages" => root});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("a file");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn large_pdf_is_analysed_in_pieces_and_joined() {
    let world = World::new().await;
    analyse_documents(&world, "512", &[("large.pdf", large_pdf(4))]).await;
    let row = world.row("large").await.unwrap();
    let State::Complete(done) = &row.state else { panic!("{row:?}") };
    assert_eq!((done.chunks, row.document.facts.pages), (Some(2), Some(4)));
    assert_eq!(world.model.calls_of("large"), 3, "two pieces and one join");
    let result = done.result.inline().expect("a small result");
    assert!(result["summary"].is_string(), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn encoding_of_a_text_is_on_its_job() {
    let world = World::new().await;
    let mut bytes = "Zwölf Gebühren für die Wohnung. ".repeat(20).into_bytes();
    bytes.push(0xe4);
    analyse_documents(&world, "256", &[("broken.txt", bytes), ("guess.txt", b"Die Miete betr\xe4gt 900".to_vec())])
        .await;
    let facts = |row: docket::domain::job::stored::StoredJob| row.document.facts;
    let broken = facts(world.row("broken").await.unwrap());
    assert_eq!((broken.encoding.as_deref(), broken.replaced_characters), (Some("UTF-8"), Some(1)));
    let guess = facts(world.row("guess").await.unwrap());
    assert_eq!((guess.encoding.as_deref(), guess.encoding_guessed), (Some("windows-1252"), true));
}
