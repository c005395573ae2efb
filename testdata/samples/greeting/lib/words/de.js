module.exports = 'Guten Tag'
