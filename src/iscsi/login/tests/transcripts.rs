//! Logins as the initiators do them that this target is made for.

use super::*;
use md5::{Digest, Md5};
use sha2::Sha256;

const IPXE_NAMES: &str =
    "InitiatorName=iqn.2010-04.org.ipxe:node1 TargetName=5img12 SessionType=Normal";

const IPXE_OPERATIONAL: &str = "HeaderDigest=None DataDigest=None MaxConnections=1 \
    InitialR2T=Yes ImmediateData=No MaxRecvDataSegmentLength=8192 MaxBurstLength=262144 \
    FirstBurstLength=65536 DefaultTime2Wait=0 DefaultTime2Retain=0 MaxOutstandingR2T=1 \
    DataPDUInOrder=Yes DataSequenceInOrder=Yes ErrorRecoveryLevel=0";

fn ipxe_operational(initiator: &mut Initiator<'_>) -> Established {
    let answer = initiator.send(1, 3, T, IPXE_OPERATIONAL);
    assert_eq!(
        answer.text,
        lines(
            "HeaderDigest=None DataDigest=None MaxConnections=1 InitialR2T=Yes ImmediateData=No \
             MaxBurstLength=262144 FirstBurstLength=Irrelevant DefaultTime2Wait=2 \
             DefaultTime2Retain=0 MaxOutstandingR2T=1 DataPDUInOrder=Yes DataSequenceInOrder=Yes \
             ErrorRecoveryLevel=0 MaxRecvDataSegmentLength=262144"
        )
    );
    // iPXE gives up at any of these.
    assert!(!answer.text.contains("Reject") && !answer.text.contains("\n\n"));
    assert_eq!((answer.response.transit, answer.response.nsg), (true, 3));
    assert_eq!(answer.response.tsih, 0x55);
    answer.established.expect("the login is over")
}

#[test]
fn ipxe_without_chap() {
    let policy = Always::open();
    let mut ipxe = Initiator::new(&policy);
    let answer = ipxe.send(0, 1, T, &format!("{IPXE_NAMES} AuthMethod=None"));
    assert_eq!(answer.text, lines("TargetPortalGroupTag=7 AuthMethod=None"));
    let expected = LoginResponse {
        transit: true,
        cont: false,
        csg: 0,
        nsg: 1,
        version_max: 0,
        version_active: 0,
        isid: ipxe.request.isid,
        tsih: 0,
        itt: ipxe.request.itt,
        stat_sn: 1,
        exp_cmd_sn: 123,
        max_cmd_sn: 123 + 127,
        status_class: 0,
        status_detail: 0,
    };
    assert_eq!(answer.response, expected);
    let established = ipxe_operational(&mut ipxe);
    let names = Names {
        initiator_name: "iqn.2010-04.org.ipxe:node1".into(),
        target_name: Some("5img12".into()),
        session_type: SessionType::Normal,
        isid: ipxe.request.isid,
        tsih: 0,
        cid: 3,
    };
    let params = SessionParams {
        target_max_recv_data_segment_length: 262_144,
        immediate_data: false,
        default_time2retain: 0,
        ..SessionParams::default()
    };
    assert_eq!(established, Established { names, params, cmd_sn: 123, stat_sn: 3 });
    assert_eq!(*policy.asked.borrow(), [established.names]);
}

#[test]
fn ipxe_with_a_user_name_where_no_chap_is_set_up() {
    let policy = Always::open();
    let mut ipxe = Initiator::new(&policy);
    let answer = ipxe.send(0, 1, T, &format!("{IPXE_NAMES} AuthMethod=CHAP,None"));
    assert_eq!(answer.value("AuthMethod"), Some("None"));
    ipxe_operational(&mut ipxe);
}

/// Up to the challenge, as iPXE and libiscsi do it.
fn chap_challenge(initiator: &mut Initiator<'_>, algorithms: &str) -> Answer {
    let answer = initiator.send(0, 1, T, &format!("{IPXE_NAMES} AuthMethod=CHAP,None"));
    assert_eq!(answer.text, lines("TargetPortalGroupTag=7 AuthMethod=CHAP"));
    assert!(!answer.response.transit);
    let answer = initiator.send(0, 1, NONE, &format!("CHAP_A={algorithms}"));
    assert_eq!(answer.value("CHAP_I"), Some("100"));
    assert_eq!(answer.value("CHAP_C"), Some(text::hex(&challenge()).as_str()));
    assert!(!answer.response.transit);
    answer
}

fn chap_response<D: Digest>(secret: &[u8]) -> String {
    text::hex(
        &D::new().chain_update([100]).chain_update(secret).chain_update(challenge()).finalize(),
    )
}

#[test]
fn ipxe_with_chap() {
    let policy = Always::chap(None);
    let mut ipxe = Initiator::new(&policy);
    assert_eq!(chap_challenge(&mut ipxe, "5").value("CHAP_A"), Some("5"));
    let keys = format!("CHAP_N=alice CHAP_R={}", chap_response::<Md5>(SECRET));
    let answer = ipxe.send(0, 1, T, &keys);
    assert_eq!(answer.text, "");
    assert_eq!((answer.response.transit, answer.response.nsg), (true, 1));
    ipxe_operational(&mut ipxe);
}

#[test]
fn ipxe_with_mutual_chap() {
    let policy = Always::chap(Some(("target", b"the target's secret")));
    let mut ipxe = Initiator::new(&policy);
    let answer = ipxe.send(0, 1, T, &format!("{IPXE_NAMES} AuthMethod=CHAP"));
    assert_eq!(answer.value("AuthMethod"), Some("CHAP"));
    ipxe.send(0, 1, NONE, "CHAP_A=5");
    let response = chap_response::<Md5>(SECRET);
    let keys = format!("CHAP_N=alice CHAP_R={response} CHAP_I=9 CHAP_C=0x0102030405060708");
    let answer = ipxe.send(0, 1, T, &keys);
    let ours = Md5::new()
        .chain_update([9])
        .chain_update(b"the target's secret")
        .chain_update([1, 2, 3, 4, 5, 6, 7, 8])
        .finalize();
    assert_eq!(answer.text, format!("CHAP_N=target\nCHAP_R={}\n", text::hex(&ours)));
    assert!(answer.response.transit);
    ipxe_operational(&mut ipxe);
}

#[test]
fn ovmf_offers_sha256_before_md5() {
    let policy = Always::chap(None);
    let mut ovmf = Initiator::new(&policy);
    assert_eq!(chap_challenge(&mut ovmf, "7,5").value("CHAP_A"), Some("7"));
    let keys = format!("CHAP_N=alice CHAP_R={}", chap_response::<Sha256>(SECRET));
    assert!(ovmf.send(0, 1, T, &keys).response.transit);
}

const OPEN_ISCSI: &str = "InitiatorName=iqn.1993-08.org.debian:01:abc InitiatorAlias=node1 \
    TargetName=iqn.2026-01.example:disk SessionType=Normal HeaderDigest=None DataDigest=None \
    DefaultTime2Wait=2 DefaultTime2Retain=0 IFMarker=No OFMarker=No ErrorRecoveryLevel=0 \
    InitialR2T=No ImmediateData=Yes MaxBurstLength=16776192 FirstBurstLength=262144 \
    MaxOutstandingR2T=1 MaxConnections=1 DataPDUInOrder=Yes DataSequenceInOrder=Yes \
    MaxRecvDataSegmentLength=262144";

#[test]
fn open_iscsi_straight_to_the_operational_stage() {
    let policy = Always::open();
    let mut linux = Initiator::new(&policy);
    let answer = linux.send(1, 3, T, OPEN_ISCSI);
    assert_eq!(
        answer.text,
        lines(
            "HeaderDigest=None DataDigest=None MaxConnections=1 InitialR2T=No ImmediateData=Yes \
             MaxBurstLength=16776192 FirstBurstLength=262144 DefaultTime2Wait=2 \
             DefaultTime2Retain=0 MaxOutstandingR2T=1 DataPDUInOrder=Yes DataSequenceInOrder=Yes \
             ErrorRecoveryLevel=0 IFMarker=No OFMarker=No MaxRecvDataSegmentLength=262144 \
             TargetPortalGroupTag=7"
        )
    );
    let params = SessionParams {
        initiator_max_recv_data_segment_length: 262_144,
        target_max_recv_data_segment_length: 262_144,
        max_burst_length: 16_776_192,
        first_burst_length: 262_144,
        initial_r2t: false,
        default_time2retain: 0,
        initiator_alias: Some("node1".into()),
        ..SessionParams::default()
    };
    let established = answer.established.expect("one round trip");
    assert_eq!((established.params, established.stat_sn), (params, 2));
}

#[test]
fn open_iscsi_discovery() {
    let policy = Always::open();
    let mut linux = Initiator::new(&policy);
    let answer = linux.send(
        1,
        3,
        T,
        "InitiatorName=iqn.1993-08.org.debian:01:abc SessionType=Discovery HeaderDigest=None \
         DataDigest=None DefaultTime2Wait=2 DefaultTime2Retain=0 IFMarker=No OFMarker=No \
         ErrorRecoveryLevel=0 MaxRecvDataSegmentLength=32768",
    );
    assert!(!answer.text.contains("Reject") && !answer.text.contains("Irrelevant"));
    let established = answer.established.expect("one round trip");
    assert_eq!(established.names.session_type, SessionType::Discovery);
    assert_eq!(established.names.target_name, None);
    assert_eq!(established.params.initiator_max_recv_data_segment_length, 32768);
}

/// libiscsi names itself again in the operational stage.
const LIBISCSI_NAMES: &str = "InitiatorName=iqn.2008-11.org.linux-kvm:node1 TargetName=iqn.2026-01.example:disk \
     SessionType=Normal";

const LIBISCSI_OPERATIONAL: &str = "HeaderDigest=None,CRC32C DataDigest=None InitialR2T=No \
    ImmediateData=Yes MaxBurstLength=262144 FirstBurstLength=262144 DefaultTime2Wait=2 \
    DefaultTime2Retain=0 MaxOutstandingR2T=1 ErrorRecoveryLevel=0 IFMarker=No OFMarker=No \
    MaxConnections=1 MaxRecvDataSegmentLength=262144 DataPDUInOrder=Yes DataSequenceInOrder=Yes";

#[test]
fn libiscsi_with_chap_sends_its_names_in_both_stages() {
    let policy = Always::chap(None);
    let mut qemu = Initiator::new(&policy);
    let answer = qemu.send(0, 1, T, &format!("{LIBISCSI_NAMES} AuthMethod=CHAP,None"));
    assert_eq!(answer.value("AuthMethod"), Some("CHAP"));
    qemu.send(0, 1, NONE, "CHAP_A=5");
    let response = chap_response::<Md5>(SECRET).to_uppercase().replace("0X", "0x");
    assert!(qemu.send(0, 1, T, &format!("CHAP_N=alice CHAP_R={response}")).response.transit);
    let answer = qemu.send(1, 3, T, &format!("{LIBISCSI_NAMES} {LIBISCSI_OPERATIONAL}"));
    assert_eq!(answer.value("HeaderDigest"), Some("None"));
    assert_eq!(answer.value("TargetPortalGroupTag"), None);
    assert!(answer.established.is_some());
    assert_eq!(policy.asked.borrow().len(), 1);
}

#[test]
fn libiscsi_without_chap() {
    let policy = Always::open();
    let mut qemu = Initiator::new(&policy);
    let keys = format!("{LIBISCSI_NAMES} {LIBISCSI_OPERATIONAL}").replace("None,CRC32C", "CRC32C");
    let answer = qemu.send(1, 3, T, &keys);
    assert_eq!(answer.value("HeaderDigest"), Some("CRC32C"));
    let params = answer.established.unwrap().params;
    assert!(params.header_digest && !params.data_digest);
}
