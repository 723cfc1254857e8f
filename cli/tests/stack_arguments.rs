//! The flags and exit codes of `docket doctor` and `docket smoke`, without the local AWS.

mod support;

use std::collections::BTreeSet;

use test_support::{read, unique};

use crate::support::{run_docket, serve};

#[tokio::test(flavor = "multi_thread")]
async fn unusable_credentials_exit_with_4() {
    let none = run_docket(&["doctor", "--region", "us-east-1"], &[]).await;
    assert_eq!(none.code, Some(4), "{}", none.stderr);
    assert!(none.stderr.contains("aws sso login"), "{}", none.stderr);
    let smoke = run_docket(&["smoke", "--region", "us-east-1"], &[]).await;
    assert_eq!((smoke.code, smoke.stdout.as_str()), (Some(4), ""), "{}", smoke.stderr);
    let profile = run_docket(&["doctor", "--region", "us-east-1", "--profile", "no-such-profile"], &[]).await;
    assert_eq!(profile.code, Some(4), "{}", profile.stderr);
    let error = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>expired</Message></Error></ErrorResponse>";
    let url = serve(move |_, _| (403, "", error.to_owned())).await;
    let expired = [
        ("AWS_ENDPOINT_URL_CLOUDFORMATION", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let run = run_docket(&["doctor"], &expired).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{}", run.stderr);
}

/// A home folder with the profiles `process` and `sso`, and the token of a finished
/// `aws sso login`.
fn write_home() -> std::path::PathBuf {
    let home = std::env::temp_dir().join(unique("home"));
    let credentials = r#"{"Version": 1, "AccessKeyId": "PROCESSKEY", "SecretAccessKey": "s"}"#;
    let config = format!(
        "[profile process]\nregion = eu-central-1\ncredential_process = echo '{credentials}'\n\
         [profile sso]\nregion = eu-central-1\nsso_session = docket\nsso_account_id = 000000000000\nsso_role_name = r\n\
         [sso-session docket]\nsso_region = eu-central-1\nsso_start_url = https://docket.awsapps.com/start\n"
    );
    // The file's name is the SHA-1 of the session's name.
    let token = home.join(".aws/sso/cache/c3b7b314e134875d6f1ab134a9bf04d836dda48d.json");
    std::fs::create_dir_all(token.parent().expect("a folder")).expect("the folder is created");
    std::fs::write(home.join(".aws/config"), config).expect("the file is written");
    std::fs::write(token, r#"{"accessToken": "t", "expiresAt": "2099-01-01T00:00:00Z"}"#).expect("the file is written");
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_precedes_the_environment() {
    let home = write_home();
    let sso = serve(|path, headers| {
        assert_eq!((path, headers["x-amz-sso_bearer_token"].as_str()), ("/federation/credentials", "t"));
        let role =
            r#"{"accessKeyId": "SSOKEY", "secretAccessKey": "s", "sessionToken": "t", "expiration": 4000000000000}"#;
        (200, "", format!(r#"{{"roleCredentials": {role}}}"#))
    })
    .await;
    for (profile, key) in [("process", "PROCESSKEY"), ("sso", "SSOKEY")] {
        let cloudformation = serve(move |_, headers| {
            let is_signed = headers["authorization"].contains(&format!("Credential={key}/"));
            let message = if is_signed { "Stack docket does not exist" } else { "signed with other credentials" };
            let error = format!("<Error><Code>ValidationError</Code><Message>{message}</Message></Error>");
            (400, "", format!("<ErrorResponse>{error}</ErrorResponse>"))
        });
        let environment = [
            ("HOME", home.to_str().expect("UTF-8")),
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", &cloudformation.await),
            ("AWS_ENDPOINT_URL_SSO", &sso),
            ("AWS_ACCESS_KEY_ID", "ENVIRONMENTKEY"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ];
        let run = run_docket(&["doctor", "--profile", profile], &environment).await;
        assert_eq!(run.code, Some(1), "{profile}: {}", run.stderr);
        assert!(run.stdout.contains("there is no stack docket in eu-central-1"), "{profile}: {}", run.stdout);
    }
    std::fs::remove_dir_all(home).expect("the folder is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_arguments_exit_with_2() {
    for arguments in [
        ["doctor", "--local", "--stack", "docket"],
        ["doctor", "--local", "--region", "us-east-1"],
        ["smoke", "--local", "--timeout", "soon"],
        ["smoke", "--local", "--prices", "/no/such/file"],
    ] {
        assert_eq!(run_docket(&arguments, &[]).await.code, Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_region_and_missing_files_are_named() {
    let region = run_docket(&["doctor"], &[]).await;
    assert_eq!(region.code, Some(1));
    assert!(region.stderr.contains("--region"), "{}", region.stderr);
    let files = run_docket(&["doctor", "--local"], &[("DOCKET_OUTPUTS", "/no/such/outputs.env")]).await;
    assert_eq!(files.code, Some(1));
    assert!(files.stderr.contains("/no/such/outputs.env") && files.stderr.contains("make up"), "{}", files.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_page_have_flags_exit_codes_and_permissions() {
    let page = read("docs/operations/doctor.md");
    for command in ["doctor", "smoke"] {
        let help = run_docket(&[command, "--help"], &[]).await;
        assert_eq!(help.code, Some(0));
        let codes = help.stdout.lines().find(|line| line.starts_with("Exit codes: ")).expect("exit codes");
        assert!(codes.contains("2 invalid arguments") && codes.contains("4 no usable credentials"), "{codes}");
        let flags = help.stdout.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in flags.filter(|flag| *flag != "--help") {
            assert!(page.contains(flag), "docs/operations/doctor.md has no {flag} of docket {command}");
        }
    }
    let pages = page + &read("docs/guide/command-line.md");
    for action in actions() {
        assert!(pages.contains(&action), "no table of permissions has {action}");
    }
}

/// The actions of IAM that the sources name.
fn actions() -> BTreeSet<String> {
    let folder = test_support::file("cli/src/aws");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let actions = text.lines().filter_map(|line| {
            let (_, value) = line.strip_prefix("const ")?.split_once(": &str = \"")?;
            value.strip_suffix("\";").filter(|value| value.contains(':') && !value.contains(' '))
        });
        found.extend(actions.map(str::to_owned));
    }
    assert!(found.len() > 10, "{found:?}");
    found
}
