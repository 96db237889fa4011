//! Golden images in and out of a real pool, as the catalog has it done.

use bytes::Bytes;

use super::*;
use crate::catalog::tests::world::World;
use crate::catalog::{
    Catalog, Destination, Format, ImageName, Job, JobState, Name, Options, Piece, PoolImportSpec,
    UploadSpec,
};

async fn end_of(catalog: &Catalog, job: Job) {
    loop {
        let job = catalog.job(job.id).unwrap();
        if job.state.is_final() {
            assert_eq!(job.state, JobState::Succeeded, "{job:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn contents(catalog: &Catalog, project: &Name, name: &ImageName) -> Vec<u8> {
    let image = catalog.read_image(project.clone(), name.clone(), None, None).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(image.size_bytes()).unwrap()];
        image.read_at(0, &mut bytes).unwrap();
        bytes
    })
    .await
    .unwrap()
}

#[test]
fn images_come_from_a_pool_go_to_one_and_are_uploaded() {
    let Some(conf) = cluster("images_come_from_a_pool_go_to_one_and_are_uploaded") else { return };
    let namespace = unique("images");
    run(conf, &["rbd", "namespace", "create", &format!("rbd/{namespace}")]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = pattern(5, 9_000_001);
    std::fs::write(file.path(), &bytes).unwrap();
    let there = format!("rbd/{namespace}/there");
    run(conf, &["rbd", "import", "--no-progress", file.path().to_str().unwrap(), &there]);
    run(conf, &["rbd", "snap", "create", "--no-progress", &format!("{there}@s")]);

    let world = World::new();
    let store: Arc<dyn Store> = Arc::new(open_store(conf));
    let stores = [("rbd".to_owned(), Arc::clone(&store))].into();
    let options = Options { default_store: "rbd".into(), ..world.options() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let exporter = world.exporter.clone();
        let catalog = Catalog::over(world.state(), stores, exporter, options).unwrap();
        let project = Name::project("demo").unwrap();
        let name = |text: &str| ImageName::new(text).unwrap();

        let image = format!("{there}@s").parse().unwrap();
        let spec = PoolImportSpec { image, from: None, store: None, fix_boot_chs: false };
        let job = catalog.import_from_pool(project.clone(), name("imported"), spec).await.unwrap();
        end_of(&catalog, job).await;
        let imported = contents(&catalog, &project, &name("imported")).await;
        assert_eq!(imported.len() as u64, 9_000_001_u64.next_multiple_of(512));
        assert!(imported[..bytes.len()] == bytes[..]);

        let to = Destination::Pool {
            store: "rbd".into(),
            image: format!("rbd/{namespace}/out").parse().unwrap(),
        };
        let export = || catalog.export_image(project.clone(), name("imported"), None, to.clone());
        end_of(&catalog, export().await.unwrap()).await;
        assert_eq!(export().await.unwrap_err().code(), "target-exists");

        let spec = UploadSpec {
            file_bytes: Some(bytes.len() as u64),
            format: Format::Raw,
            store: None,
            sha256: None,
            key: Some("k".into()),
            fix_boot_chs: false,
        };
        let up = name("uploaded");
        catalog.begin_upload(project.clone(), up.clone(), spec).await.unwrap();
        let mut at = 0;
        for end in [1_000_003, 5_000_000, bytes.len()] {
            let offset = at as u64;
            let mut receiver =
                catalog.receive(project.clone(), up.clone(), offset, None).await.unwrap();
            for piece in bytes[at..end].chunks(70_001) {
                receiver.take(Piece::Bytes(Bytes::copy_from_slice(piece))).await.unwrap();
            }
            receiver.end().await.unwrap();
            at = end;
        }
        let job = catalog.finish_upload(project.clone(), up.clone()).await.unwrap().unwrap();
        end_of(&catalog, job).await;
        assert!(contents(&catalog, &project, &up).await == imported);
        let used = catalog.image_used(project.clone(), up.clone(), TIMEOUT_DEFAULT).await.unwrap();
        assert!(used.is_some_and(|used| used >= 8 << 20), "{used:?}");
        for image in [up, name("imported")] {
            catalog.remove_image(project.clone(), image).await.unwrap();
        }
        catalog.stop().await;
    });
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("out");
    let out = format!("rbd/{namespace}/out");
    run(conf, &["rbd", "export", "--no-progress", &out, copy.to_str().unwrap()]);
    let exported = std::fs::read(&copy).unwrap();
    assert!(exported[..bytes.len()] == bytes[..] && exported.len() - bytes.len() < 512);
    let places = run(conf, &["rbd", "ls", &format!("rbd/{namespace}")]);
    assert_eq!(places.split_whitespace().collect::<Vec<_>>(), ["out", "there"]);
}
