//! Tests of the module above.

use super::*;

const REQUIRED: [(&str, &str); 5] = [
    ("JOBS_TABLE", "t"),
    ("JOBS_QUEUE_URL", "q"),
    ("DEAD_LETTER_QUEUE_URL", "d"),
    ("DOCUMENTS_BUCKET", "b"),
    ("MODEL_ID", "m"),
];

fn read(variables: &[(&str, &str)]) -> Result<ConsumerConfig, ConfigError> {
    let all: Vec<_> = variables.iter().chain(&REQUIRED).copied().collect();
    ConsumerConfig::read(&|name| all.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
}

#[test]
fn aws_config_reads_region_endpoints_and_flags() {
    let read = |all: &[(&str, &str)]| {
        AwsConfig::read(&|name| all.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
    };
    let (region, fips) = (("AWS_REGION", "eu-west-1"), ("AWS_USE_FIPS_ENDPOINT", "True"));
    let (all, sqs) = (("AWS_ENDPOINT_URL", " "), ("AWS_ENDPOINT_URL_SQS", "http://queues"));
    let found = AwsConfig {
        region: "eu-west-1".into(),
        endpoint_url: None,
        endpoint_urls: [("SQS", "http://queues".to_owned())].into(),
        use_fips: true,
        use_dual_stack: false,
    };
    assert_eq!(read(&[region, fips, all, sqs]), Ok(found));
    assert_eq!(read(&[fips]).unwrap_err().to_string(), "environment variable AWS_REGION is not set");
    assert_eq!(read(&[region, ("AWS_USE_DUALSTACK_ENDPOINT", "yes")]).unwrap_err().name, "AWS_USE_DUALSTACK_ENDPOINT");
}

#[test]
fn ceiling_of_output_tokens_is_max_tokens_by_default() {
    let ceiling = |variables: &[(&str, &str)]| read(variables).unwrap().max_tokens_ceiling;
    assert_eq!(ceiling(&[]), DEFAULT_MAX_TOKENS);
    assert_eq!(ceiling(&[("MAX_TOKENS", "77"), ("MAX_TOKENS_CEILING", "0")]), 77);
    assert_eq!(ceiling(&[("MAX_TOKENS", "77"), ("MAX_TOKENS_CEILING", "900")]), 900);
}

#[test]
fn invalid_variable_is_named_by_the_error() {
    assert_eq!(read(&[("JOBS_TABLE", " ")]).unwrap_err().to_string(), "environment variable JOBS_TABLE is not set");
    assert_eq!(read(&[("MAX_TOKENS", "many")]).unwrap_err().name, "MAX_TOKENS");
    assert_eq!(read(&[("TEMPERATURE", "1.5")]).unwrap_err().name, "TEMPERATURE");
    assert_eq!(read(&[("ANSWER_MODE", "tools")]).unwrap_err().name, "ANSWER_MODE");
    assert_eq!(read(&[("MODEL_REQUEST_FIELDS", "[]")]).unwrap_err().name, "MODEL_REQUEST_FIELDS");
    assert_eq!(read(&[("RETENTION_DAYS", "28")]).unwrap_err().name, "RETENTION_DAYS");
    assert_eq!(read(&[("CHUNK_MAX_BYTES", "999")]).unwrap_err().name, "CHUNK_MAX_BYTES");
    assert_eq!(read(&[("MODEL_TOKENS_PER_MINUTE", "many")]).unwrap_err().name, "MODEL_TOKENS_PER_MINUTE");
    assert_eq!(read(&[("MODEL_REQUESTS_PER_MINUTE", "9")]).unwrap_err().name, "QUOTAS_TABLE");
    assert_eq!(read(&[("CHUNK_MAX_BYTES", "4500001")]).unwrap_err().name, "CHUNK_MAX_BYTES");
}

#[test]
fn missing_variables_have_defaults() {
    let config = read(&[("MAX_TOKENS", "")]).unwrap();
    assert_eq!(config.model.max_tokens, DEFAULT_MAX_TOKENS);
    assert_eq!(config.model.temperature, None);
    assert_eq!(config.model.answer_mode, AnswerMode::Auto);
    assert_eq!(config.max_attempts, 3);
    assert!(!config.deduplicate);
    assert_eq!(config.quota, None);
    assert_eq!((config.chunk_max_bytes, config.memory_mb), (400_000, 512));
    assert_eq!(config.max_concurrent_records, None);
    let config = read(&[("TEMPERATURE", "0"), ("MAX_CONCURRENT_RECORDS", "4")]).unwrap();
    assert_eq!(config.model.temperature, Some(0.0));
    assert_eq!(config.max_concurrent_records, Some(4));
    assert_eq!(read(&[("TEMPERATURE", "none")]).unwrap().model.temperature, None);
}
