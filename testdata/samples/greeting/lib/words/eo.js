module.exports = 'Saluton'
