// Starts Swagger UI on our own document; it sends the document's address to nobody.

const place = document.getElementById("reference");
// @ts-ignore - a classic script, which ran before this module
const ui = window.SwaggerUIBundle;
if (place && ui) {
  ui({
    url: place.dataset.document,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    displayRequestDuration: true,
    presets: [ui.presets.apis, ui.SwaggerUIStandalonePreset].filter(Boolean),
  });
}
