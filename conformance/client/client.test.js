// Drives a running service with fhir-kit-client, a FHIR client library for JavaScript, as
// an integrator's program would. Run it with the service's base URL in BASE:
//
//   npm ci && BASE=http://127.0.0.1:8080/fhir node client.test.js
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.env.BASE });
const system = 'urn:conformance:client';
const tag = String(Date.now());

// The response of HTTP that belongs to what the library returned.
const http = (resource) => Client.httpFor(resource).response;
const header = (resource, name) => http(resource).headers.get(name);
// Fails unless the call is refused with the status and an OperationOutcome.
const refused = (call, status) =>
  assert.rejects(call, (error) => {
    assert.equal(error.response.status, status);
    assert.equal(error.response.data.resourceType, 'OperationOutcome');
    return true;
  });

const patient = (value, more = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system, value: `${tag}-${value}` }],
  name: [{ family: 'Adeyemi', given: ['Grace'] }],
  ...more,
});

test('the CapabilityStatement', async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.resourceType, 'CapabilityStatement');
  assert.equal(statement.fhirVersion, '4.0.1');
});

let id;

test('create', async () => {
  const made = await client.create({ resourceType: 'Patient', body: patient('1', { gender: 'female' }) });
  assert.equal(http(made).status, 201);
  assert.equal(made.meta.versionId, '1');
  assert.equal(header(made, 'etag'), 'W/"1"');
  assert.equal(header(made, 'location'), `${process.env.BASE}/Patient/${made.id}/_history/1`);
  id = made.id;
});

test('create if there is none', async () => {
  const options = { headers: { 'If-None-Exist': `identifier=${system}|${tag}-1` } };
  const found = await client.create({ resourceType: 'Patient', body: patient('1'), options });
  assert.equal(http(found).status, 200);
  assert.equal(found.id, id);
});

test('read, and read again only if it has changed', async () => {
  const read = await client.read({ resourceType: 'Patient', id });
  assert.deepEqual(read.name, [{ family: 'Adeyemi', given: ['Grace'] }]);
  // The library takes 304 for an error.
  await assert.rejects(
    client.read({ resourceType: 'Patient', id, options: { headers: { 'If-None-Match': header(read, 'etag') } } }),
    (error) => error.response.status === 304,
  );
});

test('update with If-Match', async () => {
  const body = await client.read({ resourceType: 'Patient', id });
  const options = { headers: { 'If-Match': header(body, 'etag') } };
  const updated = await client.update({ resourceType: 'Patient', id, body: { ...body, birthDate: '1961-04-01' }, options });
  assert.equal(updated.meta.versionId, '2');
  assert.equal(updated.birthDate, '1961-04-01');
  await refused(client.update({ resourceType: 'Patient', id, body: { ...body, birthDate: '1999-01-01' }, options }), 412);
});

test('conditional update', async () => {
  const searchParams = { identifier: `${system}|${tag}-1` };
  const updated = await client.update({ resourceType: 'Patient', searchParams, body: patient('1', { birthDate: '1961-04-02' }) });
  assert.equal(updated.id, id);
  assert.equal(updated.meta.versionId, '3');
});

test('patch', async () => {
  const jsonPatch = [
    { op: 'test', path: '/birthDate', value: '1961-04-02' },
    { op: 'add', path: '/gender', value: 'female' },
  ];
  const patched = await client.patch({ resourceType: 'Patient', id, jsonPatch });
  assert.equal(patched.gender, 'female');
  assert.equal(patched.meta.versionId, '4');
  await refused(client.patch({ resourceType: 'Patient', id, jsonPatch: [{ op: 'replace', path: '/gender', value: 'unheard of' }] }), 422);
});

test('vread and history', async () => {
  const first = await client.vread({ resourceType: 'Patient', id, version: '1' });
  assert.equal(first.birthDate, undefined);
  const instance = await client.history({ resourceType: 'Patient', id });
  assert.deepEqual(instance.entry.map((e) => e.resource.meta.versionId), ['4', '3', '2', '1']);
  assert.equal(instance.total, 4);
  const type = await client.history({ resourceType: 'Patient' });
  assert.equal(type.entry[0].resource.id, id);
  const all = await client.history();
  assert.equal(all.entry[0].resource.id, id);
});

test('batch', async () => {
  const answer = await client.batch({
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { request: { method: 'GET', url: `Patient/${id}` } },
        { request: { method: 'GET', url: 'Patient/nobody' } },
        { resource: patient('batch'), request: { method: 'POST', url: 'Patient' } },
      ],
    },
  });
  assert.equal(answer.type, 'batch-response');
  assert.deepEqual(answer.entry.map((e) => e.response.status.slice(0, 3)), ['200', '404', '201']);
});

test('transaction', async () => {
  const fullUrl = 'urn:uuid:6c3b2f0e-5b3a-4f0c-9a56-0d2f3a0c0009';
  const scores = Array.from({ length: 25 }, (_, n) => ({
    resource: {
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '72514-3' }] },
      subject: { reference: fullUrl },
      effectiveDateTime: `2026-03-${String(n + 1).padStart(2, '0')}T08:00:00Z`,
      valueQuantity: { value: n % 11, system: 'http://unitsofmeasure.org', code: '{score}' },
    },
    request: { method: 'POST', url: 'Observation' },
  }));
  const body = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [...scores, { fullUrl, resource: patient('transaction'), request: { method: 'POST', url: 'Patient' } }],
  };
  const answer = await client.transaction({ body });
  assert.equal(answer.type, 'transaction-response');
  assert.equal(answer.entry.length, 26);
  assert.ok(answer.entry.every((e) => e.response.status.startsWith('201')));

  body.entry[3].resource.status = 'unheard of';
  await refused(client.transaction({ body }), 400);
  const found = await client.search({ resourceType: 'Patient', searchParams: { identifier: `${system}|${tag}-transaction`, _summary: 'count' } });
  assert.equal(found.total, 1);
});

test('search, by GET and by POST, and paging', async () => {
  const [subject] = (await client.search({ resourceType: 'Patient', searchParams: { identifier: `${system}|${tag}-transaction` } })).entry;
  const searchParams = { patient: subject.resource.id, date: 'ge2026-03-01', _count: 10 };
  for (const options of [{}, { postSearch: true }]) {
    const dates = new Set();
    let pages = 0;
    let page = await client.search({ resourceType: 'Observation', searchParams, options });
    while (page) {
      assert.equal(page.type, 'searchset');
      page.entry.forEach((e) => dates.add(e.resource.effectiveDateTime));
      pages += 1;
      assert.ok(pages <= 3, 'the pages come to an end');
      page = await client.nextPage({ bundle: page });
    }
    assert.equal(pages, 3);
    assert.equal(dates.size, 25);
  }
  await refused(client.search({ resourceType: 'Patient', searchParams: { 'shoe-size': 42 } }), 400);
});

test('references are resolved', async () => {
  const found = await client.search({ resourceType: 'Observation', searchParams: { code: 'http://loinc.org|72514-3', _count: 1 } });
  const subject = await client.resolve({ reference: found.entry[0].resource.subject.reference });
  assert.equal(subject.resourceType, 'Patient');
});

test('delete', async () => {
  await client.delete({ resourceType: 'Patient', id });
  await refused(client.read({ resourceType: 'Patient', id }), 410);
  await refused(client.read({ resourceType: 'Patient', id: 'nobody' }), 404);
  const history = await client.history({ resourceType: 'Patient', id });
  assert.equal(history.entry[0].request.method, 'DELETE');
});
