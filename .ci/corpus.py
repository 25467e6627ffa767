"""Every bundle of the corpus, made anew with every customization, added to an index, and rendered.

A minute or two on two cores. Arguments: the driver's folder (for its images.py), a registry
without a login, the `iib` command, the unpacked corpus, and a folder for what is made.

The images that bundles name do not exist for us, so each gets a stand-in at the registry, by its tag: digests in the
corpus become tags first, in a copy. What is refused is told; a bundle that could be added before and cannot be
afterwards, or whose catalog is another one then, or in which lines changed that name no image, makes the run fail.
"""

import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import threading

driver, host, iib, corpus, work = sys.argv[1:6]
sys.path.insert(0, driver)
os.environ.setdefault('E2E_WORK', work)
os.environ['E2E_REGISTRY'] = host
import images  # noqa: E402

DIGEST = re.compile(rb'(?::[\w.-]+)?@sha256:([0-9a-f]{12})[0-9a-f]{52}')
PACKAGE = 'operators.operatorframework.io.bundle.package.v1'


def run(*words):
    environment = {**os.environ, 'IIB_INSECURE_REGISTRIES': host}
    return subprocess.run([iib, *words], env=environment, capture_output=True, text=True)


def last_line(told):
    return (told.strip().splitlines() or [''])[-1]


def with_tags(operator, version):
    """A copy of a bundle whose images have tags instead of digests."""
    folder = f'{work}/bundles/{operator}/{version}'
    if not os.path.isdir(folder):
        shutil.copytree(f'{corpus}/{operator}/{version}', folder)
        for base, _, names in os.walk(f'{folder}/manifests'):
            for name in names:
                with open(f'{base}/{name}', 'rb') as file:
                    text = file.read()
                with open(f'{base}/{name}', 'wb') as file:
                    file.write(DIGEST.sub(rb':d\1', text))
    return folder


def registry_of(image):
    first, _, rest = image.partition('/')
    has_namespace = '/' in rest
    return (first, rest) if rest and (has_namespace or '.' in first or ':' in first) else (None, image)


def stand_in(image, made=set(), turn=threading.Lock()):
    """An image of this name that is not there yet. One at a time: a registry may refuse what comes twice at once."""
    with turn:
        if image not in made:
            _, repository, _ = images.split_ref(image)
            labels = {'name': repository.replace('/', '-'), 'version': '1'}
            images.push_image(image, [images.tree_entries([('app', image.encode())])], labels)
            made.add(image)


def other_lines(diff, named):
    """Lines that changed although they name neither an image nor the package. A last line may get a line break."""
    lines = diff.split('\n')
    added = {line[1:] for line in lines if line.startswith('+')}
    changed = [line[1:] for line in lines if line.startswith('-') and not line.startswith('--- a/')]
    what = {*named, PACKAGE, 'packageName'}
    return [line for line in changed if line not in added and not any(text in line for text in what)]


def adapt(bundle):
    """What became of a bundle, and why."""
    operator, version = bundle
    folder = with_tags(operator, version)
    named = run('bundle', 'images', folder, '--json')
    if named.returncode:
        return 'refused', last_line(named.stderr)
    replaced, has_registries = {}, True
    for place in json.loads(named.stdout):
        registry, rest = registry_of(place['image'])
        if registry is None:
            has_registries = False
            continue
        replaced[registry] = f'{host}/c/' + registry.replace('.', '-').replace(':', '-').lower()
        image = f'{replaced[registry]}/{rest}'
        try:
            stand_in(image if ':' in rest.rpartition('/')[2] else f'{image}:latest')
        except AssertionError:
            return 'no image can have such a name', place['image']
    steps = [{'type': 'registry_replacements', 'replacements': replaced}]
    if has_registries:
        steps += [
            {'type': 'resolve_image_pullspecs'}, {'type': 'related_bundles'}, {'type': 'perform_bundle_replacements'},
            {'type': 'image_name_from_labels', 'template': 'adapted/{name}'},
        ]
    steps += [
        {'type': 'package_name_suffix', 'suffix': '-x'},
        {'type': 'csv_annotations', 'annotations': {'example.com/support': 'https://example.com/{package_name}?a=b'}},
        {'type': 'enclose_repo', 'namespace': 'pending', 'enclosure_glue': '----'},
    ]
    name = f'{operator.lower()}:{version.replace("+", "-")}'
    customizations = f'{work}/{operator}-{version}.json'
    with open(customizations, 'w') as file:
        json.dump(steps, file)
    made = run('bundle', 'regenerate', folder, '--customizations', customizations, '--to', f'{host}/after/{name}', '--json')
    if made.returncode:
        return 'refused', last_line(made.stderr)
    diff = ''.join(json.loads(made.stdout)['files'].values())
    with open(f'{work}/{operator}-{version}.diff', 'w') as file:
        file.write(diff)
    other = other_lines(diff, {place['image'] for place in json.loads(named.stdout)})
    # What stands in several places by an alias cannot differ in one of them; that is told.
    if other and 'was written anew' not in made.stderr:
        return 'CHANGES OTHER LINES', other[0]
    layer = images.tree_entries(images.dir_pairs(folder, ''))
    images.push_image(f'{host}/before/{name}', [layer], {PACKAGE: operator})
    return ('adapted' if has_registries else 'adapted, with images of no registry'), None


def catalog_with(image):
    """What is in the catalog of an index with this bundle alone, or why it cannot be added."""
    database = f'{work}/{os.getpid()}-{image.replace("/", "-").replace(":", "-")}.db'
    run('index', 'create', database)
    added = run('index', 'add', database, '--mode', 'semver', '--bundle', image)
    rendered = run('catalog', 'render', database, '--json')
    os.remove(database)
    if added.returncode or rendered.returncode:
        return None, last_line(added.stderr or rendered.stderr)
    objects = [(found['schema'], found.get('name', ''), json.dumps(found.get('entries'))) for found in json.loads(rendered.stdout)]
    of_package = [(schema, name.removesuffix('-x') if schema == 'olm.package' else name, entries) for schema, name, entries in objects]
    return sorted(of_package), None


def compare(bundle):
    operator, version = bundle
    name = f'{operator.lower()}:{version.replace("+", "-")}'
    (before, why_before), (after, why_after) = catalog_with(f'{host}/before/{name}'), catalog_with(f'{host}/after/{name}')
    if before is None:
        return 'could not be added before', why_before
    if after is None:
        return 'CANNOT BE ADDED ANY MORE', why_after
    return ('is in the catalog as before' if before == after else 'ITS CATALOG IS ANOTHER ONE'), None


def each(work_on, bundles):
    count, found = collections.Counter(), {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for bundle, (what, why) in zip(bundles, pool.map(work_on, bundles)):
            count[what] += 1
            found[bundle] = what
            if why or what.isupper():
                print(*bundle, f'{what}:', why, flush=True)
    for what, number in count.items():
        print(f'{number} {what}', flush=True)
    return found


os.makedirs(work, exist_ok=True)
bundles = sorted((operator, version) for operator in os.listdir(corpus) for version in os.listdir(f'{corpus}/{operator}'))
became = each(adapt, bundles)
adapted = [bundle for bundle, what in became.items() if what.startswith('adapted')]
compared = each(compare, adapted)
sys.exit(any(what.isupper() for what in [*became.values(), *compared.values()]) or not adapted)
