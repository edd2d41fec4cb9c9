// Starts Swagger UI on our own document; it sends the document's address to nobody.

const place = document.getElementById("reference");
// @ts-ignore - a classic script, which ran before this module
const ui = window.SwaggerUIBundle;
if (place && ui) {
  const address = new URL(place.dataset.document ?? "", document.baseURI);
  const spec = await (await fetch(address)).json();
  // Operations are beside the document, below whatever prefix a proxy has.
  spec.servers = [{ url: new URL(".", address).pathname.replace(/\/$/, "") || "/" }];
  ui({
    spec,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    displayRequestDuration: true,
    presets: [ui.presets.apis, ui.SwaggerUIStandalonePreset].filter(Boolean),
  });
}
