/** The simulated fleet's own apt repository: signed with a key made for it, so that plans name digests the server verified. */
import { LabRepository, labComponent, labSuite } from '../lab/repo.js';
import { ARCHITECTURE, CATALOGUE } from './catalogue.js';
import { buildDeb, type SimulatedDeb } from './deb.js';

/** What `PUT /v1/repositories/{name}` takes. */
export interface RepositoryBody {
  readonly kind: 'apt';
  readonly config: {
    readonly uri: string;
    readonly suite: string;
    readonly components: readonly string[];
    readonly architecture: string;
    readonly keyring: { readonly armored: string };
  };
}

export interface SimulatedRepository {
  readonly body: RepositoryBody;
  /** Adds packages, as an archive does when a fix comes out; the server sees them at its next sync. */
  publish(packages: readonly SimulatedDeb[]): Promise<void>;
}

/** Makes the repository in `dir`, with every package of {@link CATALOGUE} in its old and its new version. */
export async function makeRepository(dir: string): Promise<SimulatedRepository> {
  const repository = new LabRepository(dir, ARCHITECTURE);
  await repository.create();
  const publish = async (packages: readonly SimulatedDeb[]): Promise<void> => {
    const built = await Promise.all(
      packages.map(async (deb) => ({
        name: deb.name,
        version: deb.version,
        architecture: ARCHITECTURE,
        ...(await buildDeb(deb, ARCHITECTURE)),
      })),
    );
    await repository.add(built);
  };
  await publish(
    CATALOGUE.flatMap(({ name, base, offered, cves }) => [
      { name, version: base, cves: [] },
      ...(offered === null ? [] : [{ name, version: offered, cves }]),
    ]),
  );
  return {
    publish,
    body: {
      kind: 'apt',
      config: {
        uri: `file://${repository.publicDir}`,
        suite: labSuite,
        components: [labComponent],
        architecture: ARCHITECTURE,
        keyring: { armored: repository.publicKey },
      },
    },
  };
}
