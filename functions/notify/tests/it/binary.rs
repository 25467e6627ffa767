//! The binary under a simulated Lambda Runtime API.

use iib_testkit::function::Function;

#[tokio::test]
async fn bad_settings_are_named_before_the_first_event() {
    Function::start(env!("CARGO_BIN_EXE_notify"), &[])
        .await
        .assert_that_missing_settings_are_named()
        .await;
}
